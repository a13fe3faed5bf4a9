"""Google Cloud Storage. With `gcs_trouble.py` the only door to google-cloud-storage.

What is done differently from a stock client, and why:
- Every connection, that for the token too, goes through the address policy; no proxy is used, no redirect followed.
- The key comes from the target alone and was read by us (`service_account.py`). Environment, gcloud's files and
  instance metadata are never asked: the console's own identity must not act for a tenant.
- Answers are bounded in size and time, and nothing is repeated by itself but for reading.
- Objects are read as they lie in the bucket: the client would unpack some of them on the way.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from google.api_core.retry import Retry
from google.auth.transport.requests import AuthorizedSession
from google.auth.transport.requests import Request as TokenRequest
from google.cloud.storage import Client
from google.oauth2.service_account import Credentials
from requests import Session
from requests.adapters import HTTPAdapter

from backups.storage import service_account
from backups.storage.authorities import authorities
from backups.storage.gcs_trouble import SDK_ERRORS, diagnose, refusal
from backups.storage.store import BucketSettings, Listing
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from backups.storage.wire_trouble import OverTime
from console.lib.addresses import AddressPolicy, guarded_pool_classes

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 10.0
LONGEST_ANSWER = 30.0
LONGEST_OBJECT = 300.0
LARGEST_ANSWER = 8 * 1024 * 1024
GOOGLE = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"  # as Velero's plugin asks for
_CHUNK = 64 * 1024
_DAY = 86400


class GcsStore:
    """One bucket. `attempts` counts the first one. Raises only `StoreError`."""

    def __init__(self, target: StorageTarget, policy: AddressPolicy, *, attempts: int) -> None:
        self._target = target
        self._url = (target.gcs_url or GOOGLE).rstrip("/")
        self._retry = Retry(deadline=READ_TIMEOUT, initial=0.2) if attempts > 1 else None
        with _troubles(target):
            key = service_account.read(target.service_account, loopback=policy.allow_loopback)
            adapter = _GuardedAdapter(policy, target.ca_pem or "")
            self._plain = _guarded(_PlainSession(), adapter)
            self._credentials = _credentials(key)
            self._http = _guarded(_signed_session(self._credentials, self._plain), adapter)
            self._client = Client(
                project=key.project,
                credentials=self._credentials,
                _http=self._http,
                client_options={"api_endpoint": self._url, "universe_domain": service_account.GOOGLE},
            )

    def reach(self) -> None:
        """Connect, and speak TLS, without signing in."""
        with _troubles(self._target):
            self._plain.get(f"{self._url}/storage/v1/", stream=True).close()

    def sign_in(self, *, thoroughly: bool = False) -> Trouble | None:
        """Have Google give a token for the key."""
        with _troubles(self._target):
            self._credentials.refresh(TokenRequest(self._plain))
        return None

    def list(
        self, prefix: str, *, folders: bool = False, limit: int = 1000, after: str = "", token: str = ""
    ) -> Listing:
        """One page, in the order of the keys. `after`: a key to start behind; Google starts at it.

        `token`: of the page before.
        """
        with _troubles(self._target, "storage.objects.list"):
            found = self._client.list_blobs(
                self._target.bucket,
                prefix=prefix or None,
                delimiter="/" if folders else None,
                start_offset=after or None,
                page_token=token or None,
                page_size=min(limit + bool(after), 1000),
                fields="items(name,size),prefixes,nextPageToken",
                **self._repeated,
            )
            page = next(found.pages)
            blobs = [blob for blob in page if blob.name != after]
        return Listing(
            keys=tuple(blob.name for blob in blobs),
            folders=tuple(sorted(page.prefixes)),
            sizes=tuple(blob.size or 0 for blob in blobs),
            more=bool(found.next_page_token),
            token=found.next_page_token or "",
        )

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        with _troubles(self._target, "storage.objects.create"):
            self._blob(key).upload_from_string(body, content_type="application/octet-stream", **_ONCE)

    def get(self, key: str) -> GcsBody:
        """Open an object."""
        url = f"{self._url}/storage/v1/b/{quote(self._target.bucket)}/o/{quote(key, safe='')}?alt=media"
        with _troubles(self._target, "storage.objects.get"):
            answer = self._http.get(url, stream=True, headers={"Accept-Encoding": "gzip"})
            if answer.status_code != 200:
                raise StoreError(refusal(answer.status_code, answer.content, answer.headers, "storage.objects.get"))
        size = answer.headers.get("Content-Length", "")
        return GcsBody(answer, self._target, int(size) if size.isdigit() else None)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error, as in S3."""
        try:
            with _troubles(self._target, "storage.objects.delete"):
                self._blob(key).delete(**_ONCE)
        except StoreError as error:
            if error.trouble.kind is not Kind.NO_OBJECT:
                raise

    def settings(self) -> BucketSettings:
        """What the bucket does with objects by itself."""
        with _troubles(self._target, "storage.buckets.get"):
            found = self._client.get_bucket(self._target.bucket, **self._repeated)
        locked = float(found.retention_period or 0) / _DAY
        return BucketSettings(
            region=str(found.location or ""),
            versioning=bool(found.versioning_enabled),
            locks=bool(locked) or found.object_retention_mode == "Enabled",
            locked_days=locked,
            lock_mode="permanent" if found.retention_policy_locked else "",
            held=bool(found.default_event_based_hold),
            kept_days=float(found.soft_delete_policy.retention_duration_seconds or 0) / _DAY,
            encryption=str(found.default_kms_key_name or ""),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._plain.close()

    @property
    def _repeated(self) -> dict[str, Any]:
        return {"timeout": (CONNECT_TIMEOUT, READ_TIMEOUT), "retry": self._retry}

    def _blob(self, key: str) -> Any:
        return self._client.bucket(self._target.bucket).blob(key)


_ONCE: dict[str, Any] = {"timeout": (CONNECT_TIMEOUT, READ_TIMEOUT), "retry": None}


class GcsBody:
    """An object's bytes, as many seconds as `LONGEST_OBJECT` at most."""

    def __init__(self, answer: Any, target: StorageTarget, size: int | None) -> None:
        self._answer = answer
        self._target = target
        self._deadline = time.monotonic() + LONGEST_OBJECT
        self.size = size

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes; nothing at the end."""
        if time.monotonic() > self._deadline:
            raise StoreError(Trouble(Kind.NO_ANSWER))
        with _troubles(self._target, "storage.objects.get"):
            return bytes(self._answer.raw.read(amount, decode_content=False))

    def close(self) -> None:
        """Give the connection up."""
        self._answer.close()


def warm_up() -> None:
    """Read the public authorities, as a job after a fork need not: with importing the SDK that is most of a second."""
    authorities("")


class _GuardedAdapter(HTTPAdapter):
    """requests' way to the network with our address policy, our authorities, our time-outs, and bounded answers."""

    def __init__(self, policy: AddressPolicy, ca_pem: str) -> None:
        self._policy, self._authorities = policy, authorities(ca_pem)
        super().__init__(pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._authorities)
        self.poolmanager.pool_classes_by_scheme = guarded_pool_classes(self._policy)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = None

    def send(self, request: Any, stream: bool = False, **kwargs: Any) -> Any:  # type: ignore[override]
        """As the base; what is not streamed, and every refusal, is read here within bounds."""
        kwargs |= {"timeout": (CONNECT_TIMEOUT, READ_TIMEOUT), "proxies": {}, "verify": True}
        answer = super().send(request, stream=True, **kwargs)
        if not stream or answer.status_code >= 300:
            answer._content, answer._content_consumed = _bounded(answer.raw), True
        return answer


class _PlainSession(Session):
    """Never leaves for another address because an answer says so."""

    def get_redirect_target(self, resp: Any) -> None:
        return None


class _SignedSession(AuthorizedSession):
    """With the token; as `_PlainSession`."""

    def get_redirect_target(self, resp: Any) -> None:
        return None


def _signed_session(credentials: Any, plain: Session) -> Any:
    make: Any = _SignedSession  # the SDK says no types
    return make(credentials, auth_request=TokenRequest(plain), max_refresh_attempts=1)


def _guarded(session: Any, adapter: HTTPAdapter) -> Any:
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def _bounded(raw: Any) -> bytes:
    """All of an answer, unpacked; one that is too large or too slow raises."""
    deadline, left = time.monotonic() + LONGEST_ANSWER, LARGEST_ANSWER
    parts: list[bytes] = []
    while chunk := raw.read(_CHUNK, decode_content=True):
        parts.append(chunk)
        left -= len(chunk)
        if left < 0 or time.monotonic() > deadline:
            raw.close()
            raise OverTime("The answer is too large or too slow.")
    return b"".join(parts)


def _credentials(key: service_account.ServiceAccountKey) -> Any:
    make: Any = Credentials.from_service_account_info
    try:
        return make(key.info, scopes=[SCOPE])
    except ValueError as error:
        trouble = Trouble(
            Kind.SETTING,
            detail="The private key in the file cannot be read.",
            action="Copy the file as a whole, or upload it.",
            field=service_account.FIELD,
        )
        raise StoreError(trouble) from error


@contextlib.contextmanager
def _troubles(target: StorageTarget, action: str = "") -> Iterator[None]:
    """Turn whatever the SDK raises into a StoreError. `action` is the right that the call needs."""
    try:
        yield
    except SDK_ERRORS as error:
        raise StoreError(diagnose(error, action)) from error
