"""A node's metadata service (IMDSv2): the identity that a node, and with it the Velero on it, has by itself."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.clouds.accounts import Accounts, Role
from sandbox.clouds.web import Reply, Request

TOKEN, CREDENTIALS = "/latest/api/token", "/latest/meta-data/iam/security-credentials/"
HOUR = 3600


@dataclass
class Metadata:
    """Of a node whose instance profile holds `role`."""

    accounts: Accounts
    role: Role
    region: str = "us-east-1"
    _tokens: dict[str, float] = field(default_factory=dict)

    def __call__(self, request: Request) -> Reply:
        if request.path == TOKEN:
            return self._token(request)
        if time.time() > self._tokens.get(request.headers.get("x-aws-ec2-metadata-token", ""), 0):
            return Reply(401, b"Unauthorized")
        name = self.role.arn.rpartition("/")[2]
        if request.path.rstrip("/") == CREDENTIALS.rstrip("/"):
            return Reply(200, name.encode(), {"Content-Type": "text/plain"})
        if request.path == CREDENTIALS + name:
            return Reply(200, json.dumps(self._keys()).encode(), {"Content-Type": "text/plain"})
        if request.path == "/latest/meta-data/placement/region":
            return Reply(200, self.region.encode(), {"Content-Type": "text/plain"})
        return Reply(404, b"Not Found")

    def _token(self, request: Request) -> Reply:
        """Only for PUT with a lifetime, and never to something that was sent on by a proxy."""
        seconds = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if request.method != "PUT" or not seconds.isdigit() or "x-forwarded-for" in request.headers:
            return Reply(403 if "x-forwarded-for" in request.headers else 400, b"Bad Request")
        token = secrets.token_urlsafe(40)
        self._tokens[token] = time.time() + int(seconds)
        return Reply(200, token.encode(), {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": seconds})

    def _keys(self) -> dict[str, str]:
        access_key, session = self.accounts.open(self.role, "i-0sandbox", HOUR)
        until = datetime.fromtimestamp(session.until or 0, UTC)
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AccessKeyId": access_key,
            "SecretAccessKey": session.secret,
            "Token": session.token,
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
