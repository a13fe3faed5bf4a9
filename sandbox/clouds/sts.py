"""STS: AssumeRole, refused as AWS refuses it.

Whether a role is not there, does not trust the caller or wants another External ID, AWS says the same words, so that
nobody finds out roles by trying; so do we.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sandbox.clouds.accounts import Accounts, Identity, Role, trusts
from sandbox.clouds.signatures import Refused, caller
from sandbox.clouds.web import Reply, Request

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
SHORTEST, LONGEST = 900, 12 * 3600  # seconds that a session may be asked for, whatever the role (STS API reference)
CHAINED = 3600  # a session that a session asks for
_CODES = {"InvalidAccessKeyId": "InvalidClientTokenId", "RequestTimeTooSkewed": "SignatureDoesNotMatch"}


@dataclass(frozen=True)
class Sts:
    """The service."""

    accounts: Accounts

    def __call__(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        try:
            who = caller(request, self.accounts)
            if form.get("Action") != "AssumeRole":
                raise Refused("InvalidAction", f"Could not find operation {form.get('Action')}.")
            return _session(*self._assumed(who, form), self.accounts)
        except Refused as refused:
            return _refusal(_CODES.get(refused.code, refused.code), str(refused))

    def _assumed(self, who: Identity, form: Mapping[str, str]) -> tuple[Role, str, int]:
        arn, seconds = form.get("RoleArn", ""), int(form.get("DurationSeconds", "3600"))
        role = self.accounts.role(arn)
        if not role or not trusts(role, who) or role.external_id not in (None, form.get("ExternalId")):
            text = f"User: {who.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            raise Refused("AccessDenied", text)
        if not SHORTEST <= seconds <= LONGEST:
            raise Refused("ValidationError", f"DurationSeconds must be between {SHORTEST} and {LONGEST}.")
        if seconds > role.longest:
            text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise Refused("ValidationError", text)
        if who.until is not None and seconds > CHAINED:
            raise Refused("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit.")
        return role, form.get("RoleSessionName", ""), seconds


def _session(role: Role, name: str, seconds: int, accounts: Accounts) -> Reply:
    access_key, session = accounts.open(role, name, seconds)
    given = {"AccessKeyId": access_key, "SecretAccessKey": session.secret, "SessionToken": session.token}
    keys = _elements(given | {"Expiration": _moment(session.until or 0)})
    user = _elements({"Arn": session.arn, "AssumedRoleId": f"AROASANDBOX:{name}"})
    result = f"<Credentials>{keys}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
    return _xml(200, "AssumeRoleResponse", f"<AssumeRoleResult>{result}</AssumeRoleResult>")


def _refusal(code: str, message: str) -> Reply:
    error = _elements({"Type": "Sender", "Code": code, "Message": message})
    return _xml(400 if code == "ValidationError" else 403, "ErrorResponse", f"<Error>{error}</Error>")


def _xml(status: int, name: str, inner: str) -> Reply:
    text = f'<{name} xmlns="{NAMESPACE}">{inner}<RequestId>sandbox</RequestId></{name}>'
    return Reply(status, text.encode(), {"Content-Type": "text/xml"})


def _elements(values: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items())


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
