"""S3 and what speaks like it, through `aws.py`.

Checksums as Velero's plugin: on for AWS, off for other stores, many of which do not know them. Where a role is to be
assumed, that is done before the first request, and again shortly before the role's session ends.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from botocore.config import Config

from backups.storage import sts
from backups.storage.authorities import authorities
from backups.storage.aws import GuardedSession, make_client, make_config, troubles
from backups.storage.s3_settings import read_settings
from backups.storage.s3_trouble import look_at_plain_answer
from backups.storage.store import BucketSettings, Listing
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError

NOWHERE = "http://127.0.0.1:1"  # refused by a policy without exceptions, before anything is sent
LONGEST_OBJECT = 300.0


class S3Store:
    """One bucket. `attempts` counts the first one. Raises only `StoreError`."""

    def __init__(self, target: StorageTarget, policy: AddressPolicy, *, attempts: int) -> None:
        self._target, self._policy, self._attempts = target, policy, attempts
        with troubles():
            self._http = GuardedSession(policy, authorities(target.ca_pem or ""))
            self._keys = sts.Keys(target.access_key, target.secret_key)
            self._client = _client(target, self._http, self._keys, attempts)

    def reach(self) -> None:
        """Connect, and speak TLS where the URL says so, without signing in."""
        with troubles():
            look_at_plain_answer(*self._http.look(self._client.meta.endpoint_url))

    def sign_in(self, *, thoroughly: bool = False) -> Trouble | None:
        """Assume the role where there is one; whether keys are good shows only at the first request."""
        if not self._target.role_arn:
            return None
        self._assume()
        return sts.laxity(self._target, self._policy) if thoroughly else None

    @property
    def _sdk(self) -> Any:
        """The client, with a session of the role that lasts."""
        if self._target.role_arn and self._keys.expire_soon(time.time()):
            self._assume()
        return self._client

    def _assume(self) -> None:
        self._keys = sts.assume(self._target, self._policy, attempts=self._attempts)
        with troubles():
            self._client = _client(self._target, self._http, self._keys, self._attempts)

    def list(
        self, prefix: str, *, folders: bool = False, limit: int = 1000, after: str = "", token: str = ""
    ) -> Listing:
        """One page, in the order of the keys. `after`: a key to start behind; `token`: of the page before."""
        wanted = {"Bucket": self._target.bucket, "Prefix": prefix, "MaxKeys": limit}
        wanted |= ({"Delimiter": "/"} if folders else {}) | ({"StartAfter": after} if after else {})
        wanted |= {"ContinuationToken": token} if token else {}
        with troubles("s3:ListBucket"):
            page = self._sdk.list_objects_v2(**wanted)
        if page.get("Name") != self._target.bucket:
            # The host name did not carry the bucket to the store, and it listed something else.
            raise StoreError(Trouble(Kind.NOT_S3 if self._target.path_style else Kind.PATH_STYLE))
        return Listing(
            keys=tuple(item["Key"] for item in page.get("Contents", ())),
            folders=tuple(item["Prefix"] for item in page.get("CommonPrefixes", ())),
            sizes=tuple(item.get("Size", 0) for item in page.get("Contents", ())),
            region=page["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", ""),
            more=bool(page.get("IsTruncated")),
            token=page.get("NextContinuationToken", ""),
        )

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        with troubles("s3:PutObject"):
            self._sdk.put_object(Bucket=self._target.bucket, Key=key, Body=body)

    def get(self, key: str) -> S3Body:
        """Open an object."""
        with troubles("s3:GetObject"):
            answer = self._sdk.get_object(Bucket=self._target.bucket, Key=key)
        return S3Body(answer["Body"], answer.get("ContentLength"))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error in S3."""
        with troubles("s3:DeleteObject"):
            self._sdk.delete_object(Bucket=self._target.bucket, Key=key)

    def settings(self) -> BucketSettings:
        """What the bucket does with objects by itself."""
        return read_settings(self._sdk, self._target.bucket)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class S3Body:
    """An object's bytes, as many seconds as `LONGEST_OBJECT` at most."""

    def __init__(self, stream: Any, size: int | None) -> None:
        self._stream = stream
        self._deadline = time.monotonic() + LONGEST_OBJECT
        self.size = size

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes; nothing at the end."""
        if time.monotonic() > self._deadline:
            raise StoreError(Trouble(Kind.NO_ANSWER))
        with troubles("s3:GetObject"):
            return bytes(self._stream.read(amount))

    def close(self) -> None:
        """Give the connection up."""
        self._stream.close()


def warm_up() -> None:
    """Load the SDK's models and the public authorities, and go through a request that our own rules refuse in the end.

    A job need not spend that after a fork: a fifth of a second.
    """
    nobodys = "none"
    target = StorageTarget(
        bucket="none", prefix="", region="us-east-1", access_key=nobodys, secret_key=nobodys, s3_url=NOWHERE
    )
    store = S3Store(target, AddressPolicy(), attempts=1)
    with contextlib.suppress(StoreError, ConsoleError):
        store.get("none")
    store.close()


def _client(target: StorageTarget, http: GuardedSession, keys: sts.Keys, attempts: int) -> Any:
    client = make_client(
        "s3",
        http,
        _config(target, attempts),
        region_name=target.region,
        endpoint_url=target.s3_url.rstrip("/") or None,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.session_token or None,
    )
    client.meta.events.register_last("before-parameter-build.s3", _stay_here)
    return client


def _config(target: StorageTarget, attempts: int) -> Config:
    return make_config(
        attempts,
        signature_version="s3v4",
        s3={"addressing_style": "path" if target.path_style else "virtual", "use_arn_region": False},
        request_checksum_calculation="when_required" if target.s3_url else "when_supported",
        response_checksum_validation="when_required",
    )


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    # botocore's region redirector leaves a request alone that it believes redirected already (utils.py).
    context.setdefault("s3_redirect", {})["redirected"] = True
