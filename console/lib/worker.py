"""The worker process: RQ's own, with an orderly end. Beside `queue`, the only place that knows `rq`.

At SIGTERM a worker takes no more jobs and finishes the one it has. What is not finished within `FINISH_WITHIN` is
handed back: the job is interrupted wherever it is, its row is due at once, and another worker looks into the cluster
before it repeats anything. So a worker has ended 10 seconds after SIGTERM, whatever its job is doing.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from rq import Worker

FINISH_WITHIN = 6.0  # seconds
END_WITHIN = 9.0  # seconds; what heeds no interruption (a name server that is silent) is ended


class HandBack(BaseException):
    """The worker must end now. No `Exception`, so that nothing that explains failures takes it for one."""


class OrderlyWorker(Worker):
    """Finishes or hands back its job when it is told to end."""

    def handle_warm_shutdown_request(self) -> None:
        """Called in the signal handler of the parent process."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        for seconds, number in ((FINISH_WITHIN, signal.SIGUSR1), (END_WITHIN, signal.SIGKILL)):
            timer = threading.Timer(seconds, self._end_job, [number])
            timer.daemon = True
            timer.start()

    def _end_job(self, number: signal.Signals) -> None:
        if self.horse_pid:
            self.kill_horse(number)

    def setup_work_horse_signals(self) -> None:
        """Called in the child process, before its job."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGUSR1, _hand_back)


def _hand_back(number: int, frame: FrameType | None) -> Any:
    raise HandBack
