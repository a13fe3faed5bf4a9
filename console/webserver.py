"""How gunicorn serves the web process, on one machine and in containers alike: `gunicorn -c python:console.webserver`.

A child dies with its parent. Left alone, the children of a killed gunicorn would hold its port for as long as they take
to notice, and the next gunicorn could not listen: the page was away for half a minute and more.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

wsgi_app = "console.wsgi"
worker_class = "gthread"
workers = 2
threads = 8
preload_app = True  # loaded once, so that a child that was killed is back in an instant
max_requests = 20000
max_requests_jitter = 2000
graceful_timeout = 10
worker_tmp_dir = "/dev/shm"  # noqa: S108 - in memory: the heartbeat of a child must not wait for a disk
loglevel = "warning"
control_socket_disable = True

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)


def post_fork(server: Any, worker: Any) -> None:
    """Called by gunicorn in each child, before it loads the application."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != server.pid:  # it died before the line above
        os._exit(1)
