"""Messages only wake workers up: none before the commit, none after a rollback, and a missing Redis loses nothing."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks
from rq.job import Job
from rq.worker import SimpleWorker

from console.lib import context, metrics, queue
from console.lib.errors import Refused
from tests.fakes.proxy import Door, Proxy

Sent = list[tuple[str, str, int, str]]


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What our own code logged, as structlog hands it on."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


@pytest.fixture(autouse=True)
def _rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves Redis alone because another test's Redis was away."""
    monkeypatch.setattr(queue._Breaker, "until", 0.0)


@pytest.fixture
def valkey(server: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The same, empty, behind django_rq."""
    server.flushall()
    monkeypatch.setattr("django_rq.connection_utils.get_redis_connection", lambda *_, **__: server)
    return server


class TestCommit:
    @pytest.mark.django_db(transaction=True)
    def test_nothing_is_sent_before_the_commit(self, sent: Sent) -> None:
        pk = uuid.uuid4()
        with transaction.atomic():
            queue.enqueue("backups.jobs.submit_backup", pk, 0)
            assert sent == []
        assert sent == [("backups.jobs.submit_backup", str(pk), 0, "commands")]

    @pytest.mark.django_db(transaction=True)
    def test_nothing_is_sent_after_a_rollback(self, sent: Sent) -> None:
        with pytest.raises(ValueError, match="changed my mind"), transaction.atomic():
            queue.enqueue("backups.jobs.submit_backup", uuid.uuid4(), 0)
            raise ValueError("changed my mind")
        assert sent == []

    @pytest.mark.django_db(transaction=True)
    def test_an_inner_rollback_takes_its_message_along(self, sent: Sent) -> None:
        with transaction.atomic():
            with pytest.raises(ValueError, match="inner"), transaction.atomic():
                queue.enqueue("backups.jobs.submit_backup", uuid.uuid4(), 0)
                raise ValueError("inner")
            queue.enqueue("backups.jobs.submit_restore", uuid.uuid4(), 3, queue="slow")
        assert [(message[0], message[2], message[3]) for message in sent] == [
            ("backups.jobs.submit_restore", 3, "slow")
        ]


class TestMessage:
    def test_it_is_json_with_key_and_attempt_and_nothing_else(self, valkey: redis.Redis) -> None:
        pk = str(uuid.uuid4())
        queue._send("backups.jobs.submit_backup", pk, 2, "commands", "abc123")
        (job_id,) = django_rq.get_queue("commands").job_ids
        assert job_id == f"submit_backup-{pk}-2-commands"
        stored = valkey.hgetall(f"rq:job:{job_id}")
        assert json.loads(zlib.decompress(stored[b"data"])) == ["backups.jobs.submit_backup", None, [pk, 2], {}]
        assert queue.depths()["commands"] == 1

    def test_each_queue_gets_its_own(self, valkey: redis.Redis) -> None:
        for name in ("interactive", "commands", "slow"):
            queue._send("backups.jobs.submit_backup", str(uuid.uuid4()), 0, name, "")  # type: ignore[arg-type]
        assert queue.depths() == {"interactive": 1, "commands": 1, "slow": 1}

    def test_the_requests_reference_goes_along(self, valkey: redis.Redis) -> None:
        queue._send("backups.jobs.submit_backup", "x", 0, "commands", "0123456789ab")
        (found,) = django_rq.get_queue("commands").jobs
        assert found.meta == {"cause": "0123456789ab"}


class TestRedisAway:
    @pytest.fixture(autouse=True)
    def away(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = redis.Redis(unix_socket_path=str(tmp_path / "nobody.sock"))
        monkeypatch.setattr("django_rq.connection_utils.get_redis_connection", lambda *_, **__: gone)

    @pytest.mark.django_db
    def test_the_caller_does_not_notice(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, caplog: pytest.LogCaptureFixture
    ) -> None:
        began = time.monotonic()
        with django_capture_on_commit_callbacks(execute=True):
            queue.enqueue("backups.jobs.submit_backup", uuid.uuid4(), 0)
        assert time.monotonic() - began < 1
        assert [line["event"] for line in logged(caplog)] == ["queue away, the reconciler will drive this row"]

    def test_it_is_said_when_asked(self) -> None:
        assert queue.reachable() is False
        assert queue.depths() == {}

    def test_everybody_is_alone(self) -> None:
        with queue.alone("east", 5) as one, queue.alone("east", 5) as other:
            assert one
            assert other


class TestRedisSilent:
    @pytest.fixture
    def door(self, server: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
        """A proxy before the server, behind django_rq."""
        monkeypatch.setattr(queue, "ANSWER_WITHIN", 0.1)
        with Proxy() as proxy:
            door = proxy.open(server.connection_pool.connection_kwargs["path"])
            url = f"redis://127.0.0.1:{door.port}"
            make = "django_rq.connection_utils.get_redis_connection"
            monkeypatch.setattr(make, lambda *_, **__: redis.Redis.from_url(url))
            yield door

    def test_it_is_waited_for_once_and_then_left_alone(self, door: Door) -> None:
        door.be("silent")
        began = time.monotonic()
        for _ in range(20):
            queue._send("backups.jobs.submit_backup", "x", 0, "commands", "")
        assert queue.reachable() is False
        assert time.monotonic() - began < 0.5
        assert door.accepted == 1

    def test_it_is_asked_again_after_the_rest(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        door.be("silent")
        assert queue.reachable() is False
        door.be("pass")
        assert queue.reachable() is False
        monkeypatch.setattr(queue._Breaker, "until", time.monotonic())
        assert queue.reachable() is True


class TestAlone:
    def test_one_at_a_time_by_name(self, valkey: redis.Redis) -> None:
        with queue.alone("east", 5) as first, queue.alone("east", 5) as second, queue.alone("west", 5) as other:
            assert (first, second, other) == (True, False, True)
        with queue.alone("east", 5) as again:
            assert again

    def test_one_who_was_refused_does_not_let_the_next_in(self, valkey: redis.Redis) -> None:
        with queue.alone("east", 5):
            with queue.alone("east", 5):
                pass
            with queue.alone("east", 5) as third:
                assert not third

    def test_one_who_died_in_there_does_not_count_for_ever(self, valkey: redis.Redis) -> None:
        with queue.alone("east", 0.05):
            time.sleep(0.1)
            with queue.alone("east", 5) as next_one:
                assert next_one


class TestJob:
    def test_an_expected_error_ends_as_a_line_and_is_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        @queue.job
        def refused_job(pk: str, attempt: int) -> None:
            raise Refused("No.", remedy="Ask again.")

        before = metrics.jobs_total.labels("refused_job", "refused")._value.get()
        refused_job("row", 1)
        assert metrics.jobs_total.labels("refused_job", "refused")._value.get() == before + 1
        assert [(line["event"], line["reason"]) for line in logged(caplog)] == [("job refused", "No.")]

    def test_a_bug_is_not_swallowed(self) -> None:
        @queue.job
        def broken_job(pk: str, attempt: int) -> None:
            raise KeyError("bug")

        with pytest.raises(KeyError):
            broken_job("row", 1)

    def test_it_works_under_the_reference_of_who_caused_it(self) -> None:
        seen: list[str] = []

        @queue.job
        def done_job(pk: str, attempt: int) -> None:
            seen.append(context.current().id)

        with context.caused_by("0123456789ab"):
            done_job("row", 1)
        assert seen == ["0123456789ab"]

    @pytest.mark.slow
    def test_a_worker_carries_a_message_out(self, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """Through RQ itself, with its JSON serializer, as `manage.py rqworker` does."""
        seen: list[tuple[str, int, str]] = []
        monkeypatch.setattr("tests.unit.console.lib.test_queue.heard", seen)
        queue._send("tests.unit.console.lib.test_queue.listen", "row", 4, "commands", "0123456789ab")
        rq_queue = django_rq.get_queue("commands")
        worker = SimpleWorker([rq_queue], connection=valkey, serializer=rq_queue.serializer)
        worker.work(burst=True, logging_level="ERROR")
        assert seen == [("row", 4, "0123456789ab")]
        assert not Job.exists("listen-row-4-commands", connection=valkey)


heard: list[tuple[str, int, str]] = []


@queue.job
def listen(pk: str, attempt: int) -> None:
    heard.append((pk, attempt, context.current().id))
