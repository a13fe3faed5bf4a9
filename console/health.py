"""`python -m console.health`: the container's health check. Exits 0 when the main process does its work, else 1.

The web process is asked for /healthz. A worker and a reconciler cannot be asked: their sign of life is looked at.
Whatever else runs in a container needs no question, because it is the container's first process and ends with it.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from console.lib import heartbeat

SECONDS = 4
WEB = frozenset({"gunicorn", "web"})  # the second where the container runtime puts its own init process first
BEATING = frozenset({"rqworker", "worker", "reconcile"})


def main(pid: int = 1) -> int:
    """The exit code for the process `pid`."""
    command = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    words = {Path(word).name for word in command}
    if words & WEB:
        return 0 if answers(int(os.environ.get("PORT", "8000"))) else 1
    if words & BEATING:
        return 0 if heartbeat.is_alive(pid) else 1
    return 0


def answers(port: int) -> bool:
    """Whether the web process on this machine answers /healthz with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:2])))
