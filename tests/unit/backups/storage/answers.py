"""A server that says what a test wants it to say, in plain HTTP or under a certificate made for the test."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backups.storage import StorageTarget
from console.lib.addresses import AddressPolicy

POLICY = AddressPolicy(allow_loopback=True)
LISTING = "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"


@dataclass
class Answer:
    """What one request gets."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, more: str = "", **headers: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode()
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def target(s3_url: str, **changes: Any) -> StorageTarget:
    wanted: dict[str, Any] = {
        "bucket": "bucket",
        "prefix": "team",
        "region": "us-east-1",
        "access_key": "AKIATEST",
        "secret_key": "SECRET-CANARY",
        "s3_url": s3_url,
        "path_style": True,
    }
    return StorageTarget(**{**wanted, **changes})


@contextmanager
def served(answer: Callable[[str, str], Answer], tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """URL of the server, and the list of requests it got so far."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            seen.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}")
            given = answer(self.command, self.path)
            self.send_response(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # a client that turns away in mid handshake is what these tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Certificate:
    """A certificate as PEM files, and a server context that presents it."""

    pem: str
    context: ssl.SSLContext
    files: tuple[Path, Path]


def certificate(folder: Path, *, name: str = "127.0.0.1", days: int = 1, authority: bool = False) -> Certificate:
    """Self-signed, or from an authority of its own whose certificate is `pem`."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority" if authority else name)])
    ca = _signed(ca_name, ca_name, ca_key, ca_key, now + datetime.timedelta(days=30), authority=True, alt=None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    until = now + datetime.timedelta(days=days)
    issuer, issuer_key = (ca_name, ca_key) if authority else (subject, key)
    leaf = _signed(subject, issuer, key, issuer_key, until, authority=False, alt=_alt(name))
    cert_file, key_file = folder / "tls.crt", folder / "tls.key"
    cert_file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    trusted = ca if authority else leaf
    return Certificate(trusted.public_bytes(serialization.Encoding.PEM).decode(), context, (cert_file, key_file))


def _alt(name: str) -> x509.SubjectAlternativeName:
    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(name)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    until: datetime.datetime,
    *,
    authority: bool,
    alt: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - datetime.timedelta(days=60))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if alt is not None:
        builder = builder.add_extension(alt, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
