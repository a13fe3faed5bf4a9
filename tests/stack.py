"""One real stack for all tests that need one: the sandbox and the whole console, in a folder of their own.

`stack` is up for the whole session. Its database is not pytest-django's: `stack.shell()` runs code inside the console.
It is SQLite, the laptop's default; with `--on-postgresql` it is a PostgreSQL server that is thrown away after.
Set DRYDOCK_E2E_HOME to a folder to keep it between sessions while developing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
import pytest
from django.conf import settings

from bench import postgres
from bench import stack as real
from sandbox.state import State, read_state


@dataclass(frozen=True)
class Stack:
    """A running console. `state` is the sandbox's; both clusters, a location and a workspace are registered."""

    var: Path
    url: str
    password: str
    server: postgres.Server | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a command beside the console needs to work on the same rows."""
        return real.environment(self.var, 0) | _database_of(self.server)

    @property
    def database(self) -> dict[str, Any]:
        """Django's settings of the console's database."""
        if self.server:
            return dict(environ.Env.db_url_config(self.server.url))
        file = str(self.var / "drydock.sqlite3")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": dict(settings.SQLITE_OPTIONS)}

    @property
    def state(self) -> State:
        found = read_state(self.var / "sandbox")
        assert found is not None
        return found

    def shell(self, code: str) -> Any:
        """Run `code` inside the console; what it assigns to `answer` comes back."""
        program = f"import json, django; django.setup()\nanswer = None\n{code}\nprint(json.dumps(answer, default=str))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=real.CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    def log(self, name: str) -> str:
        """The end of a process's log, for messages."""
        path = self.var / "log" / f"{name}.log"
        return path.read_text()[-2000:] if path.exists() else ""


def unique(name: str) -> str:
    """A name nobody has used: homes may outlive a session."""
    return f"{name}-{int(time.time() * 1000) % 10**7}"


@pytest.fixture(scope="session")
def sandbox_var(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running sandbox, without a console: its state is in `sandbox/`."""
    var = Path(os.environ.get("DRYDOCK_E2E_HOME") or tmp_path_factory.mktemp("stack"))
    var.mkdir(parents=True, exist_ok=True)
    with real.sandbox(var):
        yield var


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Iterator[postgres.Server | None]:
    """The PostgreSQL that the console is to use; None: its own SQLite."""
    if not request.config.getoption("--on-postgresql"):
        yield None
        return
    with postgres.server() as made:
        yield made


def _database_of(server: postgres.Server | None) -> dict[str, str]:
    return {"DATABASE_URL": server.url} if server else {}


@pytest.fixture(scope="session")
def stack(sandbox_var: Path, database_server: postgres.Server | None) -> Iterator[Stack]:
    """Both clusters, harbor-east and harbor-west, are registered, and the main job has run once."""
    with real.console(sandbox_var, _database_of(database_server)) as url:
        made = Stack(sandbox_var, url, real.password(sandbox_var), database_server)
        command = [sys.executable, "-m", "bench.mainjob"]
        subprocess.run(command, cwd=real.CHECKOUT, env=made.environment, check=True, timeout=180)
        yield made
