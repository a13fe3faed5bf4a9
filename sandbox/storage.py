"""The S3 server: SeaweedFS, one store with a plain and a TLS address, requests signed with one pair of keys.

It checks signatures and answers wrong keys as AWS does (SignatureDoesNotMatch, InvalidAccessKeyId).
"""

from __future__ import annotations

import configparser
import contextlib
import datetime
import io
import ipaddress
import json
import secrets
import shutil
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.errors import SandboxError
from sandbox.files import keep_or_make, private_dir, write_private
from sandbox.processes import Program

BUCKET, REGION = "drydock", "us-east-1"
LISTENERS = ("master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc", "plain", "tls", "grpc")
PORTS = tuple(f"s3/{name}" for name in LISTENERS)


@dataclass(frozen=True)
class Storage:
    """One S3 server and its files below `home`."""

    home: Path
    logs: Path
    ports: dict[str, int]

    @property
    def credentials_file(self) -> Path:
        return self.home / "credentials"

    @property
    def ca_file(self) -> Path:
        return self.home / "ca.crt"

    @property
    def plain_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3/plain']}"

    def public(self) -> dict[str, Any]:
        """The `s3` part of the state file."""
        tls = {"url": f"https://127.0.0.1:{self.ports['s3/tls']}", "region": REGION, "ca_file": str(self.ca_file)}
        plain = {"url": self.plain_url, "region": REGION}
        return {"plain": plain, "tls": tls, "bucket": BUCKET, "credentials_file": str(self.credentials_file)}

    def prepare(self) -> None:
        """Make keys and certificates, unless an earlier run has."""
        private_dir(self.home)
        keep_or_make(self.credentials_file, _new_credentials)
        key, secret = self.keys()
        identity = {
            "name": "sandbox",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        keep_or_make(self.home / "identities.json", lambda: json.dumps({"identities": [identity]}))
        if not all((self.home / name).exists() for name in ("ca.crt", "tls.crt", "tls.key")):
            for name, content in _new_certificates().items():
                write_private(self.home / name, content)

    def program(self) -> Program:
        """SeaweedFS: master, volume server, filer and S3 gateway in one process."""
        port = {name.removeprefix("s3/"): number for name, number in self.ports.items()}
        flags = {
            "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": str(private_dir(self.home / "data")),
            "master.port": port["master"], "master.port.grpc": port["master-grpc"], "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64, "master.resumeState": "false", "master.electionTimeout": "1s",
            "volume.max": 100, "volume.preStopSeconds": 0,
            "volume.port": port["volume"], "volume.port.grpc": port["volume-grpc"],
            "filer": "true", "filer.port": port["filer"], "filer.port.grpc": port["filer-grpc"],
            "s3": "true", "s3.port": port["plain"], "s3.port.https": port["tls"], "s3.port.grpc": port["grpc"],
            "s3.port.iceberg": 0, "s3.port.lance": 0, "s3.iam": "false", "s3.autoCreateBucket": "false",
            "s3.config": str(self.home / "identities.json"),
            "s3.cert.file": str(self.home / "tls.crt"), "s3.key.file": str(self.home / "tls.key"),
            # Relative, because the path of a socket may have no more than 107 characters.
            "filer.localSocket": "filer.sock", "s3.localSocket": "s3.sock",
        }  # fmt: skip
        return Program(
            name="s3",
            argv=[_find_weed(), "server", *(f"-{name}={value}" for name, value in flags.items())],
            log=self.logs / "s3.log",
            cwd=self.home,
            env={"GOMEMLIMIT": "200MiB", "TMPDIR": str(private_dir(self.home / "tmp"))},
            patience=1.5,  # asked to stop, it waits for its own connections to itself; what it has acknowledged is kept
        )

    def bucket_is_there(self) -> bool:
        """Make the bucket if need be. False while the server does not answer as it should."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client()
        try:
            client.head_bucket(Bucket=BUCKET)
        except ClientError:
            with contextlib.suppress(ClientError, BotoCoreError):
                client.create_bucket(Bucket=BUCKET)
            return False  # until it is seen
        except BotoCoreError:
            return False
        return True

    def tls_answers(self) -> bool:
        """Whether the TLS address presents the certificate that `ca_file` vouches for."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with socket.create_connection(("127.0.0.1", self.ports["s3/tls"]), timeout=2) as raw:
                context.wrap_socket(raw, server_hostname="127.0.0.1").close()
        except OSError:
            return False
        return True

    def keys(self) -> tuple[str, str]:
        """The access key id and the secret key."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.credentials_file)
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        key, secret = self.keys()
        patience = Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 0}, proxies={})
        session = boto3.session.Session(key, secret, region_name=REGION)
        return session.client("s3", endpoint_url=self.plain_url, config=patience)


def remove_sockets(ports: dict[str, int]) -> None:
    """SeaweedFS puts a socket per gRPC port into /tmp, wherever its TMPDIR is, and leaves them there."""
    for name in LISTENERS:
        kind = "s3" if name == "grpc" else name.removesuffix("-grpc")
        Path(f"/tmp/seaweedfs-{kind}-grpc-{ports.get(f's3/{name}')}.sock").unlink(missing_ok=True)


def _find_weed() -> str:
    """The wheel puts `weed` beside this environment's Python."""
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if not found:
        raise SandboxError("The S3 server `weed` is missing. Install requirements-dev.txt.")
    return found


def _new_credentials() -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser["default"] = {
        "aws_access_key_id": f"AKIA{secrets.token_hex(8).upper()}",
        "aws_secret_access_key": secrets.token_urlsafe(30),
    }
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def _new_certificates() -> dict[str, bytes]:
    """A private authority and a certificate for 127.0.0.1 and localhost. The authority's key is thrown away."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Drydock sandbox {secrets.token_hex(4)}")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    authority = (
        _certificate(issuer, issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    )
    server = (
        _certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), issuer, key.public_key())
        .add_extension(names, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    pem = serialization.Encoding.PEM
    unlocked = serialization.NoEncryption()
    return {
        "ca.crt": authority.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "tls.crt": server.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        "tls.key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unlocked),
    }


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
    )
