"""A throw-away PostgreSQL for tests, campaigns and measurements: Debian's programs, a data folder removed after.

It listens on a Unix socket in a private folder and nowhere else, so that it needs no password. initdb refuses root:
started by root, the server runs as Debian's `postgres`. It does not wait for the disk; a commit survives the server's
crash, not the machine's. It sorts as a human would, unlike SQLite: what relies on the order of bytes shows.

    python -m bench.postgres -- COMMAND …      # COMMAND runs with DATABASE_URL of a new server; its exit code counts
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.guard import start_child

ROOT_OF_PROGRAMS = Path("/usr/lib/postgresql")
RUNS_AS = "postgres"  # when we are root
NAME = "drydock"  # of role and database
START_WITHIN = STOP_WITHIN = 30.0  # seconds
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "log_min_messages": "fatal",
}


class NoPostgres(Exception):
    """PostgreSQL is not there or did not start; the text says what to do."""


class Server:
    """One server in `folder`. It may be stopped and started again; its data stays until the folder goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._account = pwd.getpwnam(RUNS_AS) if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For DATABASE_URL. No secret: who may enter the folder may connect."""
        return f"postgres://{NAME}@/{NAME}?host={self.folder}"

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def create(self) -> None:
        """Make the data folder and the database. Raises NoPostgres."""
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        sorting = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        self._run("initdb", "--auth=trust", f"--username={NAME}", "--no-sync", *sorting, f"--pgdata={self._data}")
        self.start()
        self._run("createdb", *self._here, NAME)

    def start(self) -> None:
        """Returns when it answers. Raises NoPostgres with the log's end."""
        given = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [program("postgres"), "-D", str(self._data), "-k", str(self.folder), *given]
        with (self.folder / "log").open("ab") as log:
            self._process = start_child(command, stdout=log, stderr=log, **self._who)
        until = time.monotonic() + START_WITHIN
        while self._process.poll() is None and time.monotonic() < until:
            if subprocess.run([program("pg_isready"), "-q", *self._here], check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise NoPostgres(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks connections off in order, SIGQUIT as a crash does. One that has ended is left alone."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process = None

    def dump(self) -> bytes:
        """The database as it is at one moment, for `load`."""
        return self._run("pg_dump", *self._here, "--format=custom", NAME)

    def load(self, dump: bytes) -> None:
        """Put a dump in the place of the database. Nobody may be connected."""
        self._run("dropdb", *self._here, NAME)
        self._run("createdb", *self._here, NAME)
        self._run("pg_restore", *self._here, f"--dbname={NAME}", "--exit-on-error", given=dump)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _here(self) -> list[str]:
        return [f"--host={self.folder}", f"--username={NAME}"]

    @property
    def _who(self) -> dict[str, Any]:
        plain = {"cwd": self.folder, "env": {"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C.UTF-8"}}
        if self._account is None:
            return plain
        return plain | {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _run(self, name: str, *arguments: str, given: bytes | None = None) -> bytes:
        try:
            done = subprocess.run(
                [program(name), *arguments], input=given, capture_output=True, check=True, **self._who
            )
        except subprocess.CalledProcessError as error:
            raise NoPostgres(f"{name} failed: {error.stderr.decode(errors='replace')[-2000:]}") from error
        return bytes(done.stdout)


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of the newest version there is. Raises NoPostgres."""
    found = sorted(ROOT_OF_PROGRAMS.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if found:
        return str(found[-1])
    if on_path := shutil.which(name):
        return on_path
    raise NoPostgres("PostgreSQL is missing. Install it: apt-get install postgresql")


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A new, empty database; stopped and removed at the end. Raises NoPostgres."""
    folder = Path(tempfile.mkdtemp(prefix="drydock-postgres-"))
    made = Server(folder)
    try:
        made.create()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def main(command: Sequence[str]) -> int:
    """Run `command` on a new server; its exit code, or 1 with a sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with server() as made:
            return subprocess.run(command, env={**os.environ, "DATABASE_URL": made.url}, check=False).returncode
    except NoPostgres as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        sys.exit(f"Usage: {__spec__.name if __spec__ else 'bench.postgres'} -- COMMAND …")
    sys.exit(main(sys.argv[2:]))
