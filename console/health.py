"""`python -m console.health`: the container's health check. Exits 0 when the main process does its work, else 1.

Only the web process answers questions: it is asked for /healthz. The others need no question, because they are the
container's first process: when they end, the container ends.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SECONDS = 4
WEB = frozenset({"gunicorn", "web"})  # the second where the container runtime puts its own init process first


def main(pid: int = 1) -> int:
    """The exit code for the process `pid`."""
    words = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    if WEB.isdisjoint(Path(word).name for word in words):
        return 0
    return 0 if answers(int(os.environ.get("PORT", "8000")), host_header(os.environ)) else 1


def host_header(environment: Mapping[str, str]) -> str:
    """A host name that the web process accepts: the first of ALLOWED_HOSTS that is one."""
    names = [name.strip().lstrip(".") for name in environment.get("ALLOWED_HOSTS", "").split(",")]
    return next((name for name in names if name and name != "*"), "127.0.0.1")


def answers(port: int, host: str) -> bool:
    """Whether the web process on this machine answers /healthz with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in sys.argv[1:2])))
