"""A session of an AWS role, made with keys of a cloud account. What it gives is never stored.

Velero's plugin does the same from the profile in its Secret (velero.md §2): role, External ID, session name, one hour.
The address is STS's own of the region; another one only by the site owner's setting
(console.lib.outbound).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backups.storage.authorities import authorities
from backups.storage.aws import GuardedSession, make_client, make_config, troubles
from backups.storage.sts_trouble import role_trouble
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy

DURATION = 3600  # seconds
SESSION_NAME = "drydock"
RENEWED_BEFORE = 300  # seconds


@dataclass(frozen=True)
class Keys:
    """What requests are signed with. `until` is Unix time, None for keys that last."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    until: float | None = None

    def expire_soon(self, now: float) -> bool:
        """Whether to get new ones; a role's own keys are told by their token."""
        return not self.session_token or (self.until is not None and self.until - now < RENEWED_BEFORE)


def assume(target: StorageTarget, policy: AddressPolicy, *, attempts: int = 1, external_id: str = "") -> Keys:
    """A session of the target's role. Raises: StoreError."""
    with troubles():
        http = GuardedSession(policy, authorities(target.ca_pem or ""))
    try:
        return _assumed(_client(target, http, attempts), target, external_id or target.external_id)
    except StoreError as error:
        raise StoreError(role_trouble(error, target)) from error
    finally:
        http.close()


def laxity(target: StorageTarget, policy: AddressPolicy) -> Trouble | None:
    """Whether the role is to be had with any External ID at all: then whoever knows its name can have us use it."""
    try:
        assume(target, policy, external_id=f"drydock-{secrets.token_hex(8)}")
    except StoreError:
        return None
    return Trouble(Kind.EXTERNAL_ID_IDLE)


def _client(target: StorageTarget, http: GuardedSession, attempts: int) -> Any:
    with troubles():
        return make_client(
            "sts",
            http,
            make_config(attempts),
            region_name=target.region,
            endpoint_url=target.sts_url.rstrip("/") or None,
            aws_access_key_id=target.access_key,
            aws_secret_access_key=target.secret_key,
        )


def _assumed(client: Any, target: StorageTarget, external_id: str) -> Keys:
    with troubles("sts:AssumeRole"):
        answer = client.assume_role(
            RoleArn=target.role_arn,
            RoleSessionName=SESSION_NAME,
            ExternalId=external_id,
            DurationSeconds=DURATION,
        )
    given = answer.get("Credentials") or {}
    until = given.get("Expiration")
    try:
        return Keys(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            until.timestamp() if isinstance(until, datetime) else None,
        )
    except KeyError as error:
        raise StoreError(Trouble(Kind.NOT_STS)) from error
