"""What goes wrong on purpose: each fault names the requests it hits, what happens, and how often."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Action = Literal[
    "delay",  # answer after `seconds`
    "hang",  # take the request and never answer
    "status",  # answer `status` with a Status body, `headers` and `message`; nothing is applied
    "reset_before",  # reset the connection before the request is applied
    "reset_after",  # apply the request, then reset the connection instead of answering
    "garbage",  # apply the request, then answer 200 with something that is not JSON
    "cut_watch",  # reset a watch after `events` events
    "end_watch",  # end a watch properly after `events` events
    "expire",  # 410: as an ERROR event on a watch, as a status elsewhere
]


@dataclass(frozen=True)
class Request:
    """A request as a matcher sees it. `path` is without the cluster's prefix and without the query."""

    cluster: str
    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")


@dataclass
class Fault:
    """One thing that goes wrong. `times` None: until removed; `skip` matching requests go well before it starts.

    Empty `method`: any; `path` is a regular expression searched for; `cluster` None: all; `when` decides last.
    """

    action: Action
    method: str = ""
    path: str = ""
    cluster: str | None = None
    when: Callable[[Request], bool] | None = None
    times: int | None = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 500
    message: str = "injected"
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    events: int = 0
    hits: int = 0

    def matches(self, request: Request) -> bool:
        """Whether it is about this request, regardless of how often it has struck."""
        if self.action in ("cut_watch", "end_watch") and not request.is_watch:
            return False
        return (
            (not self.method or self.method == request.method)
            and (self.cluster is None or self.cluster == request.cluster)
            and (not self.path or re.search(self.path, request.path) is not None)
            and (self.when is None or self.when(request))
        )


class Faults:
    """The faults in force; safe to change while the server runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, request: Request) -> Fault | None:
        """The fault that hits this request, counted; None if all goes well."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.matches(request):
                    if fault.skip > 0:
                        fault.skip -= 1
                    elif fault.times is None or fault.hits < fault.times:
                        fault.hits += 1
                        return fault
        return None
