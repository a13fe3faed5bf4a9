"""A worker forks for every job: parent and child on one connection would read each other's answers."""

from __future__ import annotations

import pytest
import redis
from django.core.management import call_command
from django.db import connection

from backups.storage import authorities, aws
from console.lib.worker import OrderlyWorker


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_without_a_connection_to_the_database(server: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_rq.connection_utils.get_redis_connection", lambda *_, **__: server)
    connection.ensure_connection()
    seen: list[object] = []
    monkeypatch.setattr(OrderlyWorker, "work", lambda *_, **__: seen.append(connection.connection))
    call_command("rqworker", "commands")
    assert seen == [None]


@pytest.mark.django_db
def test_what_is_slow_to_load_is_there_before_the_fork(server: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log click pays for its own work alone."""
    monkeypatch.setattr("django_rq.connection_utils.get_redis_connection", lambda *_, **__: server)
    aws.sdk.cache_clear()
    authorities.authorities.cache_clear()
    found: list[int] = []
    kept = (aws.sdk, authorities.authorities)
    monkeypatch.setattr(
        OrderlyWorker, "work", lambda *_, **__: found.extend(each.cache_info().currsize for each in kept)
    )
    call_command("rqworker", "interactive")
    assert found == [1, 1]
