"""The console's processes on PostgreSQL: that they are, and that they live through its restart."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from bench import postgres
from bench.faults.load import Visitor
from bench.stack import EMAIL
from tests.e2e.conftest import World, ended, exactly_one

pytestmark = [pytest.mark.postgresql, pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]
PEERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def server(world: World) -> Iterator[postgres.Server]:
    """The console's PostgreSQL; it runs again after the test."""
    assert world.stack.server, "run with --on-postgresql"
    yield world.stack.server
    if not world.stack.server.running:
        world.stack.server.start()


def until(when: Callable[[], object], seconds: float) -> float:
    """Wait until something is so; how many seconds it took."""
    began = time.monotonic()
    while not when():
        assert time.monotonic() - began < seconds, "it did not come about"
        time.sleep(0.1)
    return time.monotonic() - began


def test_every_process_is_on_postgresql(world: World, server: postgres.Server) -> None:
    assert connection.vendor == "postgresql"
    assert not (world.stack.var / "drydock.sqlite3").exists()
    with connection.cursor() as cursor:
        cursor.execute(PEERS)
        assert cursor.fetchone()[0] >= 2  # the reconciler and a thread of web at least


def test_crashed_and_restarted_under_the_running_console(world: World, server: postgres.Server) -> None:
    """The page says what is the matter; nobody has to be started again, signed in again or asked again."""
    visitor = Visitor(world.stack.url)
    visitor.sign_in(EMAIL, world.stack.password)
    page = f"/clusters/{world.fleet.east.pk}/backup-restore/"
    assert visitor.get(page).status == 200
    backups = [world.back_up() for _ in range(3)]
    connection.close()
    server.stop(signal.SIGQUIT)
    away = visitor.get(page)
    assert away.status == 503 and "database does not answer" in away.body
    assert [Visitor(world.stack.url).get(probe).status for probe in ("/readyz", "/healthz")] == [503, 200]
    time.sleep(3)  # as long as the reconciler has rounds, and jobs come to their end
    server.start()
    until(lambda: visitor.get(page).status == 200, 5)
    for backup in backups:
        assert ended(backup, 90).state == "completed"
        exactly_one(world, backup, "harbor-east")
    assert ended(world.back_up(), 30).state == "completed"
    assert "exited:" not in (world.stack.var / "log" / "supervisord.log").read_text()
