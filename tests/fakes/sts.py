"""AWS STS in this process, as far as AssumeRole goes: signatures, trust, External ID and session length are checked.

Like AWS it answers AccessDenied in the same words whether a role is not there, does not trust the caller or wants
another External ID.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/velero"
EXTERNAL_ID = "drydock-contract"
KEYS = {"access_key": "AKIACLOUD", "secret_key": "cloud-secret"}
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True)
class Role:
    """Whom a role trusts, by account; `external_id` None: none is required."""

    external_id: str | None = EXTERNAL_ID
    trusts: tuple[str, ...] = (ACCOUNT,)
    longest: int = 3600


@dataclass
class FakeSts:
    """A context manager; `url` is known after it has started. `users`: access key → (secret key, user ARN)."""

    roles: dict[str, Role] = field(default_factory=lambda: {ROLE: Role()})
    users: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {
            KEYS["access_key"]: (KEYS["secret_key"], f"arn:aws:iam::{ACCOUNT}:user/cloud"),
            "AKIASTRANGER": ("stranger-secret", "arn:aws:iam::999988887777:user/stranger"),
        }
    )
    lasts: timedelta = timedelta(hours=1)
    asked: list[dict[str, str]] = field(default_factory=list)
    refusal: tuple[int, str, str] | None = None  # instead of an answer: status, code, message

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _handler(sts) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text = sts.answer(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Status and XML."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.asked.append(form)
        found = self.refusal or self._signature(path, headers, body) or self._role(headers, form)
        if found:
            status, code, message = found
            kind = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            return status, f'<ErrorResponse xmlns="{_NAMESPACE}">{kind}<RequestId>r</RequestId></ErrorResponse>'
        return 200, self._session(form)

    def _signature(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str] | None:
        credential, signed, signature = _authorization(headers["Authorization"])
        access_key, _, region, _, _ = credential.split("/")
        if access_key not in self.users:
            return 403, "InvalidClientTokenId", "The security token included in the request is invalid."
        lower = {name.lower(): value for name, value in headers.items()}
        wanted = AWSRequest("POST", f"http://{lower['host']}{path}", {name: lower[name] for name in signed}, body)
        wanted.context["timestamp"] = lower["x-amz-date"]
        signer = SigV4Auth(Credentials(access_key, self.users[access_key][0]), "sts", region)
        text = signer.string_to_sign(wanted, signer.canonical_request(wanted))
        if signer.signature(text, wanted) != signature:
            return 403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
        sent = datetime.strptime(lower["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - sent) > timedelta(minutes=5):
            return 403, "SignatureDoesNotMatch", f"Signature expired: {lower['x-amz-date']} is now earlier than now"
        return None

    def _role(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, str, str] | None:
        caller = self.users[_authorization(headers["Authorization"])[0].split("/")[0]][1]
        role = self.roles.get(form["RoleArn"])
        trusted = role is not None and caller.split(":")[4] in role.trusts
        if not role or not trusted or role.external_id not in (None, form.get("ExternalId")):
            text = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {form['RoleArn']}"
            return 403, "AccessDenied", text
        if int(form["DurationSeconds"]) > role.longest:
            text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            return 400, "ValidationError", text
        return None

    def _session(self, form: dict[str, str]) -> str:
        until = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {"AccessKeyId": f"ASIASESSION{len(self.asked)}", "SecretAccessKey": "session-secret"}
        given |= {"SessionToken": "session-token", "Expiration": until}
        keys = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        result = f"<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>"
        return f'<AssumeRoleResponse xmlns="{_NAMESPACE}">{result}</AssumeRoleResponse>'


def _authorization(header: str) -> tuple[str, list[str], str]:
    """Credential, the names of the signed headers, signature."""
    parts = dict(part.strip().split("=", 1) for part in header.partition(" ")[2].split(","))
    return parts["Credential"], parts["SignedHeaders"].split(";"), parts["Signature"]
