"""Who there is in the stand-in for AWS: users with keys that last, roles, and sessions of roles, which end."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

ACCOUNT = "111122223333"


@dataclass(frozen=True)
class Identity:
    """Whose keys these are. `until` is Unix time; None for keys that last, which have no token."""

    arn: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    until: float | None = None
    may_store: bool = False

    def has_ended(self, now: float) -> bool:
        return self.until is not None and now >= self.until


@dataclass(frozen=True)
class Role:
    """`trusts`: ARNs of users, or of roles for all their sessions. `external_id` None: none is wanted.

    `longest` is the longest session one may ask for, in seconds. `lasts`: what a session lasts whatever was asked for,
    so that a test need not wait for a quarter of an hour.
    """

    arn: str
    trusts: tuple[str, ...]
    external_id: str | None = None
    longest: int = 3600
    lasts: float | None = None
    may_store: bool = True


class Accounts:
    """`users` by access key. Sessions live as long as the process."""

    def __init__(self, users: dict[str, Identity], roles: list[Role]) -> None:
        self._users = users
        self._roles = {role.arn: role for role in roles}
        self._sessions: dict[str, Identity] = {}
        self._lock = threading.Lock()

    def find(self, access_key: str) -> Identity | None:
        with self._lock:
            return self._users.get(access_key) or self._sessions.get(access_key)

    def role(self, arn: str) -> Role | None:
        return self._roles.get(arn)

    def open(self, role: Role, name: str, seconds: float) -> tuple[str, Identity]:
        """A session of the role, and its access key."""
        access_key = f"ASIA{secrets.token_hex(8).upper()}"
        until = time.time() + (seconds if role.lasts is None else role.lasts)
        arn = f"{role.arn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{name}"
        session = Identity(arn, secrets.token_urlsafe(30), secrets.token_urlsafe(60), until, role.may_store)
        with self._lock:
            self._sessions[access_key] = session
        return access_key, session


def trusts(role: Role, caller: Identity) -> bool:
    """Whether the role lets the caller in, External ID aside."""
    of_a_role = caller.arn.replace(":sts:", ":iam:").replace(":assumed-role/", ":role/").rpartition("/")[0]
    return caller.arn in role.trusts or (caller.until is not None and of_a_role in role.trusts)


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def user_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:user/{name}"
