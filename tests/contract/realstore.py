"""Stores for the same cases: moto and a Google Cloud Storage of ours in this process, and SeaweedFS, a program that
checks signatures and rights.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from backups.storage import StorageTarget, probe
from console.lib.addresses import AddressPolicy
from tests.fakes.gcs import FakeGcs, key_file
from tests.fakes.sts import EXTERNAL_ID, ROLE, FakeSts
from tests.fakes.sts import KEYS as CLOUD_KEYS
from tests.unit.backups.storage.answers import certificate

POLICY = AddressPolicy(allow_loopback=True)
BUCKET = "contract"
KEYS = {"access_key": "AKIACONTRACT", "secret_key": "contract-secret"}
READ_ONLY = {"access_key": "AKIAREADER", "secret_key": "reader-secret"}
NO_LIST = {"access_key": "AKIAWRITER", "secret_key": "writer-secret"}
ASSUMED = {"sign_in": "sts-keys", "role_arn": ROLE, "external_id": EXTERNAL_ID, **CLOUD_KEYS}
EDITOR = {"access_key": "AKIAEDITOR", "secret_key": "editor-secret"}  # everything, but bound by the bucket's policy
START_WITHIN = 40.0


@dataclass(frozen=True)
class RealStore:
    """A running store with an empty bucket `BUCKET`."""

    name: str
    url: str
    tls_url: str = ""
    ca_pem: str = ""
    sign_in: Mapping[str, Any] = field(default_factory=lambda: KEYS)

    def target(self, prefix: str, **changes: Any) -> StorageTarget:
        place = {"bucket": BUCKET, "prefix": prefix, "region": "us-east-1", "s3_url": self.url, "path_style": True}
        return StorageTarget(**{**place, **self.sign_in, **changes})

    def put(self, key: str, body: bytes) -> None:
        """As whoever wrote there before us."""
        client(self.url).put_object(Bucket=BUCKET, Key=key, Body=body)


@dataclass(frozen=True)
class GoogleStore:
    """As `RealStore`, of the other kind."""

    fake: FakeGcs

    def target(self, prefix: str, **changes: Any) -> StorageTarget:
        made = StorageTarget(
            provider="gcp",
            sign_in="service-account",
            bucket=BUCKET,
            prefix=prefix,
            gcs_url=self.fake.url,
            service_account=key_file(self.fake.token_uri),
        )
        return replace(made, **changes)

    def put(self, key: str, body: bytes) -> None:
        """As whoever wrote there before us."""
        self.fake.objects[key] = body


@contextmanager
def by_role() -> Iterator[RealStore]:
    """moto again, reached with a role's session."""
    with moto() as store, FakeSts() as sts:
        yield replace(store, name="role", sign_in={**ASSUMED, "sts_url": sts.url})


@contextmanager
def google() -> Iterator[GoogleStore]:
    """Knows rights and signatures of tokens; quick."""
    with FakeGcs() as fake:
        yield GoogleStore(fake)


@cache
def client(url: str) -> Any:
    """A stock SDK client, independent of the code under test."""
    from botocore.config import Config
    from botocore.session import Session

    return Session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5),
    )


@contextmanager
def moto() -> Iterator[RealStore]:
    """Knows neither signatures nor rights; quick."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        client(url).create_bucket(Bucket=BUCKET)
        yield RealStore("moto", url)
    finally:
        server.stop()


@contextmanager
def seaweed(home: Path) -> Iterator[RealStore]:
    """`weed server` on free ports, plain and TLS, with three identities."""
    cert = certificate(home, authority=True)
    (home / "identities.json").write_text(json.dumps({"identities": [*_identities()]}))
    with ExitStack() as stack:
        ports = _free_ports(stack, 11)
    log = (home / "weed.log").open("wb")
    weed = subprocess.Popen([_weed(), "server", *_flags(home, ports, cert.files)], stdout=log, stderr=log, cwd=home)
    try:
        plain, tls = (f"{scheme}://127.0.0.1:{port}" for scheme, port in zip(("http", "https"), ports[:2], strict=True))
        store = RealStore("seaweed", plain, tls, cert.pem)
        _wait(lambda: _bucket_is_there(store), home / "weed.log")
        yield store
    finally:
        weed.kill()
        weed.wait()
        log.close()
        for port in ports:  # it puts a socket per gRPC port into /tmp and leaves it there
            for kind in ("master", "volume", "filer", "s3"):
                Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)


def _identities() -> Iterator[dict[str, Any]]:
    rights = {
        "all": (KEYS, ["Admin"]),
        "reader": (READ_ONLY, [f"Read:{BUCKET}", f"List:{BUCKET}"]),
        "writer": (NO_LIST, [f"Write:{BUCKET}"]),
        "editor": (EDITOR, [f"Read:{BUCKET}", f"List:{BUCKET}", f"Write:{BUCKET}"]),
    }
    for name, (keys, actions) in rights.items():
        pair = {"accessKey": keys["access_key"], "secretKey": keys["secret_key"]}
        yield {"name": name, "credentials": [pair], "actions": actions}


def _flags(home: Path, ports: list[int], tls: tuple[Path, Path]) -> list[str]:
    (home / "data").mkdir()
    plain, secure, master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc, *_ = ports
    flags = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": str(home / "data"),
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "master.electionTimeout": "1s",
        "volume.max": 100,
        "volume.preStopSeconds": 0,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "filer.localSocket": "filer.sock",
        "s3": "true",
        "s3.port": plain,
        "s3.port.https": secure,
        "s3.port.grpc": s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.config": str(home / "identities.json"),
        "s3.cert.file": str(tls[0]),
        "s3.key.file": str(tls[1]),
        "s3.localSocket": "s3.sock",
    }
    return [f"-{name}={value}" for name, value in flags.items()]


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "weed is missing: install the development dependencies."
    return found


def _free_ports(stack: ExitStack, count: int) -> list[int]:
    taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
    return [sock.getsockname()[1] for sock in taken]


def _bucket_is_there(store: RealStore) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    with suppress(BotoCoreError, ClientError):
        client(store.url).create_bucket(Bucket=BUCKET)
    return all(step.outcome != "fail" for step in probe(store.target("ready"), POLICY))


def _wait(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-3000:]}"
        time.sleep(0.2)
