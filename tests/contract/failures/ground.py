"""What the failures of locations are tried on: a real S3 server, the sandbox's stand-ins for the clouds in front of it
and of the Cloud Storage emulator, and servers that are none of these.
"""

from __future__ import annotations

import functools
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_storage_emulator.server import create_server

from backups.storage import StorageTarget
from sandbox.clouds import stack as clouds
from sandbox.clouds.accounts import Accounts, Identity
from sandbox.clouds.gate import Gate
from sandbox.clouds.google import Google, ServiceAccount, new_key
from sandbox.clouds.sts import Sts
from sandbox.clouds.web import serve, served
from tests.contract import realstore
from tests.contract.realstore import BUCKET, RealStore

EXTERNAL_ID = "drydock-7f3a"
USERS = {"AKIACLOUD": Identity(clouds.USER, "cloud-secret")}


@dataclass(frozen=True)
class Ground:
    """The servers. `keys` are key files of Google Cloud by e-mail address."""

    store: RealStore
    gate: str
    sts: str
    google: str
    keys: dict[str, str]

    def s3(self, **changes: Any) -> StorageTarget:
        """A location with keys that is right but for `changes`."""
        return self.store.target("failures", **changes)

    def tls(self, **changes: Any) -> StorageTarget:
        """The same over TLS."""
        return self.s3(**{"s3_url": self.store.tls_url, "ca_pem": self.store.ca_pem} | changes)

    def role(self, **changes: Any) -> StorageTarget:
        """A location with a role that is right but for `changes`."""
        wanted = {"sign_in": "sts-keys", "role_arn": clouds.VELERO, "external_id": EXTERNAL_ID, "sts_url": self.sts}
        return self.s3(
            **wanted | {"access_key": "AKIACLOUD", "secret_key": "cloud-secret", "s3_url": self.gate} | changes
        )

    def gcs(self, **changes: Any) -> StorageTarget:
        """A location in Google Cloud that is right but for `changes`."""
        wanted: dict[str, Any] = {
            "provider": "gcp",
            "sign_in": "service-account",
            "bucket": BUCKET,
            "prefix": "failures",
        }
        return StorageTarget(**wanted | {"gcs_url": self.google, "service_account": self.keys[clouds.EMAIL]} | changes)


@contextmanager
def ground(home: Path) -> Iterator[Ground]:
    """Everything started, below `home`; ended after."""
    with ExitStack() as stack:
        store = stack.enter_context(realstore.seaweed(home))
        accounts = Accounts(USERS, clouds.roles(EXTERNAL_ID))
        keys = (realstore.KEYS["access_key"], realstore.KEYS["secret_key"])
        gate = stack.enter_context(served(Gate(accounts, store.url, keys)))
        sts = stack.enter_context(served(Sts(accounts)))
        google, key_files = stack.enter_context(_google())
        yield Ground(store, gate, sts, google, key_files)


@contextmanager
def _google() -> Iterator[tuple[str, dict[str, str]]]:
    """The emulator behind the gate that knows tokens and rights."""
    with emulator() as behind:
        google = Google([], behind)
        server = serve(0, google)
        url = f"http://127.0.0.1:{server.server_port}"
        made = {email: new_key(email, f"{url}/token") for email in (clouds.EMAIL, *clouds.LACKING)}
        google.accounts += [
            ServiceAccount(email, public, (clouds.LACKING.get(email, ""),)) for email, (_, public) in made.items()
        ]
        try:
            yield url, {email: text for email, (text, _) in made.items()}
        finally:
            server.shutdown()
            server.server_close()


@contextmanager
def emulator() -> Iterator[str]:
    """gcp-storage-emulator with an empty bucket, in memory."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Python's own: a real web server that is no store."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def crowded() -> Iterator[str]:
    """Listens, and the kernel's queue is full: no further connection is accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> int:
    """Where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
