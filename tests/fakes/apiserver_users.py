"""Who may do what on a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """One thing somebody wants to do, as an authorizer sees it."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True)
class User:
    """Somebody with a token or a client certificate; `allows` decides on every request."""

    name: str
    groups: tuple[str, ...] = ()
    allows: Callable[[Right], bool] = lambda right: True
