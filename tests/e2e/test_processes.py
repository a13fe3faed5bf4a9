"""Starting twice, stopping, and what must never be seen outside the console: its secrets."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path

import pytest
import yaml

from bench import stack as real
from bench.stack import processes_of
from console.lib import keys
from tests.e2e.conftest import World, ended

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(180)]
READY_WITHIN = 15.0


def tables(var: Path) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with sqlite3.connect(f"file:{var / 'drydock.sqlite3'}?mode=ro", uri=True) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: sorted(map(repr, database.execute(f'SELECT * FROM "{name}"'))) for name in names}
    database.close()
    return found


def test_a_second_start_changes_nothing_and_nothing_is_left_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python keeps what it compiled, as it does for people; the suite keeps it from doing so in the checkout.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "compiled"))
    with real.console(tmp_path):
        running = processes_of(tmp_path)
        assert len(running) >= 7  # supervisord, Valkey, web, four workers, reconciler
    assert processes_of(tmp_path) == {}
    made, first = tables(tmp_path), keys.load(tmp_path)
    assert "with the password" in (tmp_path / "start.log").read_text()
    began = time.monotonic()
    with real.console(tmp_path):
        took = time.monotonic() - began
    assert took < READY_WITHIN
    assert tables(tmp_path) == made
    assert keys.load(tmp_path) == first
    assert "with the password" not in (tmp_path / "start.log").read_text()
    assert processes_of(tmp_path) == {}
    for path in (tmp_path / "keys.json", tmp_path / "drydock.sqlite3", *(tmp_path / "log").iterdir()):
        if path.exists():
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def secrets(world: World) -> dict[str, bytes]:
    """Everything that must not leak, by what it is."""
    s3 = world.state.s3
    assert s3 is not None
    found = {"secret key of the store": s3.keys()[1], "password": world.stack.password}
    made = keys.load(world.stack.var)
    if made:
        found |= {"session key": made.secret_key, "key ring": made.ring}
    for name, cluster in world.state.clusters.items():
        user = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]
        found |= {f"{name} {field}": str(user[field]) for field in ("token", "client-key-data") if user.get(field)}
    return {what: value.encode() for what, value in found.items()}


def test_nothing_secret_is_in_logs_or_command_lines(world: World) -> None:
    assert ended(world.back_up()).state == "completed"
    wanted = secrets(world)
    assert len(wanted) >= 4
    for path in sorted((world.stack.var / "log").iterdir()):
        content = path.read_bytes()
        assert not [what for what, value in wanted.items() if value in content], path
    for pid, command in processes_of(world.stack.var).items():
        assert not [what for what, value in wanted.items() if value in command.encode()], (pid, command[:80])


def test_the_database_holds_no_credential_in_the_clear(world: World) -> None:
    wanted = {what: value for what, value in secrets(world).items() if what not in ("session key", "key ring")}
    for path in world.stack.var.glob("drydock.sqlite3*"):
        content = path.read_bytes()
        assert not [what for what, value in wanted.items() if value in content], path


def test_valkey_holds_keys_of_rows_and_nothing_else(world: World) -> None:
    assert ended(world.back_up()).state == "completed"
    wanted = secrets(world)
    files = [path for path in world.stack.var.rglob("*.aof") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not [what for what, value in wanted.items() if value in content], path
