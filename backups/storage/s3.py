"""S3 and what speaks like it. With `s3_trouble.py` the only door to boto3's core.

What is done differently from a stock client, and why:
- Every connection goes through the address policy; no proxy is used, no redirect to another host or region followed
  (the SDK would sign for wherever an answer points it).
- Keys come from the target alone. Environment, shared files and instance metadata are cut off, because the console's
  own identity must never act for a tenant.
- Authorities come from memory: nothing is written to disk.
- Answers are bounded in size and time: the server is chosen by whoever typed its URL.
- Checksums as Velero's plugin: on for AWS, off for other stores, many of which do not know them.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.credentials import CredentialResolver
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.loaders import Loader
from botocore.session import Session

from backups.storage.s3_trouble import SDK_ERRORS, OverTime, diagnose, look_at_plain_answer
from backups.storage.store import Listing
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy, console_error_in, guarded_pool_classes
from console.lib.errors import ConsoleError

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 10.0
LONGEST_ANSWER = 30.0
NOWHERE = "http://127.0.0.1:1"  # refused by a policy without exceptions, before anything is sent
LONGEST_OBJECT = 300.0
LARGEST_ANSWER = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_MAKING = threading.Lock()


class S3Store:
    """One bucket. `attempts` counts the first one. Raises only `StoreError`."""

    def __init__(self, target: StorageTarget, policy: AddressPolicy, *, attempts: int) -> None:
        self._target = target
        with _troubles():
            self._http = _GuardedSession(policy, _authorities(target.ca_pem or ""))
            self._client = _client(target, attempts)
            self._client._endpoint.http_session = self._http

    def reach(self) -> None:
        """Connect, and speak TLS where the URL says so, without signing in."""
        with _troubles():
            look_at_plain_answer(*self._http.look(self._client.meta.endpoint_url))

    def list(self, prefix: str, *, folders: bool = False, limit: int = 1000, after: str = "") -> Listing:
        """One page, in the order of the keys. `after`: a key to start behind."""
        wanted = {"Bucket": self._target.bucket, "Prefix": prefix, "MaxKeys": limit}
        wanted |= ({"Delimiter": "/"} if folders else {}) | ({"StartAfter": after} if after else {})
        with _troubles("s3:ListBucket"):
            page = self._client.list_objects_v2(**wanted)
        if page.get("Name") != self._target.bucket:
            # The host name did not carry the bucket to the store, and it listed something else.
            raise StoreError(Trouble(Kind.NOT_S3 if self._target.path_style else Kind.PATH_STYLE))
        return Listing(
            keys=tuple(item["Key"] for item in page.get("Contents", ())),
            folders=tuple(item["Prefix"] for item in page.get("CommonPrefixes", ())),
            size=sum(item.get("Size", 0) for item in page.get("Contents", ())),
            region=page["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", ""),
            more=bool(page.get("IsTruncated")),
        )

    def put(self, key: str, body: bytes) -> None:
        """Write an object."""
        with _troubles("s3:PutObject"):
            self._client.put_object(Bucket=self._target.bucket, Key=key, Body=body)

    def get(self, key: str) -> S3Body:
        """Open an object."""
        with _troubles("s3:GetObject"):
            answer = self._client.get_object(Bucket=self._target.bucket, Key=key)
        return S3Body(answer["Body"], answer.get("ContentLength"))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error in S3."""
        with _troubles("s3:DeleteObject"):
            self._client.delete_object(Bucket=self._target.bucket, Key=key)

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
        with _troubles("s3:GetObject"):
            return bytes(self._stream.read(amount))

    def close(self) -> None:
        """Give the connection up."""
        self._stream.close()


class _GuardedSession(URLLib3Session):  # type: ignore[misc]
    """botocore's HTTP session with our address policy, our authorities, no proxy, and bounded answers."""

    def __init__(self, policy: AddressPolicy, authorities: ssl.SSLContext) -> None:
        self._authorities = authorities
        super().__init__(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), max_pool_connections=2)
        self._manager.pool_classes_by_scheme = guarded_pool_classes(
            policy, http=AWSHTTPConnectionPool, https=AWSHTTPSConnectionPool
        )

    def _get_ssl_context(self) -> ssl.SSLContext:
        return self._authorities

    def _setup_ssl_cert(self, conn: Any, url: str, verify: object) -> None:
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = None

    def send(self, request: Any) -> Any:
        """As the base, but a ConsoleError stays one (it would be retried as a fault of the network)."""
        streamed, request.stream_output = request.stream_output, True
        try:
            response = super().send(request)
            if not streamed or response.status_code >= 300:
                response._content = _bounded(response.raw, LARGEST_ANSWER)
        except HTTPClientError as error:
            ours = console_error_in(error)
            if ours is not None:
                raise ours from error
            raise
        finally:
            request.stream_output = streamed
        return response

    def look(self, url: str) -> tuple[int, bytes]:
        """Status and the beginning of the answer to an unsigned request."""
        pool = self._manager.connection_from_url(url)
        self._setup_ssl_cert(pool, url, True)
        answer = pool.urlopen("GET", "/", retries=False, redirect=False, preload_content=False, decode_content=False)
        try:
            return answer.status, bytes(answer.read(2048))
        finally:
            answer.close()


def _bounded(raw: Any, most: int) -> bytes:
    """All of an answer; one that is too large or too slow raises."""
    deadline = time.monotonic() + LONGEST_ANSWER
    parts: list[bytes] = []
    while chunk := raw.read(_CHUNK):
        parts.append(chunk)
        most -= len(chunk)
        if most < 0 or time.monotonic() > deadline:
            raw.close()
            raise OverTime("The answer is too large or too slow.")
    return b"".join(parts)


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


@lru_cache(maxsize=64)
def _authorities(ca_pem: str) -> ssl.SSLContext:
    """What may sign the store's certificate: public authorities, this machine's, and those pasted with the location.

    Kept, because reading them takes a tenth of a second.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context would obey SSLKEYLOGFILE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    with contextlib.suppress(OSError):
        context.load_verify_locations(cafile=get_cert_path(True))
    if ca_pem:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise StoreError(_bad_certificate()) from error
    return context


def _bad_certificate() -> Trouble:
    return Trouble(
        Kind.SETTING,
        detail="The certificate cannot be read.",
        action="Paste it as PEM, from BEGIN CERTIFICATE to END CERTIFICATE.",
        field="ca_certificate",
    )


def _client(target: StorageTarget, attempts: int) -> Any:
    with _MAKING:  # a Session is not safe to share between threads, its clients are
        client = _session().create_client(
            "s3",
            region_name=target.region,
            endpoint_url=target.s3_url.rstrip("/") or None,
            aws_access_key_id=target.access_key,
            aws_secret_access_key=target.secret_key,
            aws_session_token=target.session_token or None,
            config=_config(target, attempts),
        )
    client.meta.events.register_last("before-parameter-build.s3", _stay_here)
    return client


def _config(target: StorageTarget, attempts: int) -> Config:
    checksums = "when_required" if target.s3_url else "when_supported"
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if target.path_style else "virtual", "use_arn_region": False},
        retries={"mode": "standard", "total_max_attempts": attempts},
        request_checksum_calculation=checksums,
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,
        proxies={},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
    )


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    # botocore's region redirector leaves a request alone that it believes redirected already (utils.py).
    context.setdefault("s3_redirect", {})["redirected"] = True


@cache
def _session() -> Session:
    """The SDK's own models and defaults: reads no environment and no file, has no keys, finds none."""
    names = {
        name: (None, None, default, convert) for name, (_, _, default, convert) in Session.SESSION_VARIABLES.items()
    }
    nowhere = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    session = Session(session_vars={**names, **nowhere})
    session.register_component("credential_provider", CredentialResolver([]))
    models = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    session.register_component("data_loader", models)
    return session


@contextlib.contextmanager
def _troubles(action: str = "") -> Iterator[None]:
    """Turn whatever the SDK raises into a StoreError. `action` is the right that the call needs."""
    try:
        yield
    except SDK_ERRORS as error:
        raise StoreError(diagnose(error, action)) from error
