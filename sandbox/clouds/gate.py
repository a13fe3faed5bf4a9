"""S3 for sessions: in front of the sandbox's S3 server, which knows one pair of keys and nothing of roles.

A request comes through when it is signed by a session that has not ended and whose role may store; it goes on signed
with the server's own keys. Keys of users are known and have no right to the bucket, as on AWS without a policy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from sandbox.clouds.accounts import Accounts
from sandbox.clouds.signatures import UNSIGNED, Refused, caller, signed
from sandbox.clouds.web import Reply, Request, pass_on

_STATUSES = {"ExpiredToken": 400, "InvalidToken": 400, "XAmzContentSHA256Mismatch": 400}


@dataclass(frozen=True)
class Gate:
    """`url` and `keys` are those of the S3 server behind it."""

    accounts: Accounts
    url: str
    keys: tuple[str, str] = field(repr=False)
    region: str = "us-east-1"

    def __call__(self, request: Request) -> Reply:
        try:
            self._judge(request)
        except Refused as refused:
            return _refusal(refused)
        ours, headers = signed(request, self.url, self.keys, self.region)
        return pass_on(ours, self.url, headers)

    def _judge(self, request: Request) -> None:
        who = caller(request, self.accounts)
        told = request.headers.get("x-amz-content-sha256", UNSIGNED)
        if len(told) == 64 and told != hashlib.sha256(request.body).hexdigest():
            raise Refused("XAmzContentSHA256Mismatch", "The body is not what was signed.")
        if not who.may_store:
            raise Refused("AccessDenied", f"User: {who.arn} is not authorized to do this.")


def _refusal(refused: Refused) -> Reply:
    told = f"<Code>{refused.code}</Code><Message>{escape(str(refused))}</Message>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}</Error>'.encode()
    return Reply(_STATUSES.get(refused.code, 403), body, {"Content-Type": "application/xml"})
