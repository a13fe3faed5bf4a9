"""botocore as the console uses it: with `s3.py`, `sts.py` and `s3_trouble.py` the only door to boto3's core.

What is done differently from a stock client, and why:
- Every connection goes through the address policy; no proxy is used, no redirect to another host or region followed
  (the SDK would sign for wherever an answer points it).
- Keys come from the target alone. Environment, shared files and instance metadata are cut off, because the console's
  own identity must never act for a tenant.
- Authorities come from memory: nothing is written to disk.
- Answers are bounded in size and time: the server is chosen by whoever typed its URL.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.credentials import CredentialResolver
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader
from botocore.session import Session

from backups.storage.s3_trouble import SDK_ERRORS, diagnose
from backups.storage.trouble import StoreError
from backups.storage.wire_trouble import OverTime
from console.lib.addresses import AddressPolicy, console_error_in, guarded_pool_classes

CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 10.0
LONGEST_ANSWER = 30.0
LARGEST_ANSWER = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_MAKING = threading.Lock()


class GuardedSession(URLLib3Session):  # type: ignore[misc]
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
                response._content = bounded(response.raw, LARGEST_ANSWER)
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


def bounded(raw: Any, most: int) -> bytes:
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


def make_client(service: str, http: GuardedSession, config: Config, **settings: Any) -> Any:
    """An SDK client that speaks through `http`. A Session is not safe to share between threads, its clients are."""
    with _MAKING:
        client = sdk().create_client(service, config=config, **settings)
    client._endpoint.http_session = http
    return client


def make_config(attempts: int, **more: Any) -> Config:
    """`attempts` counts the first one."""
    return Config(
        signature_version=more.pop("signature_version", "v4"),
        retries={"mode": "standard", "total_max_attempts": attempts},
        ignore_configured_endpoint_urls=True,
        proxies={},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        **more,
    )


@cache
def sdk() -> Session:
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
def troubles(action: str = "") -> Iterator[None]:
    """Turn whatever the SDK raises into a StoreError. `action` is the right that the call needs."""
    try:
        yield
    except SDK_ERRORS as error:
        raise StoreError(diagnose(error, action)) from error
