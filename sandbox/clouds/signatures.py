"""AWS signature version 4, as "Create a signed AWS API request" in the IAM user guide has it.

Known are signatures in the header and in the query (presigned addresses); not those of single chunks, which neither
Velero's plugin nor the console sends as they are set up for stores other than AWS.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from sandbox.clouds.accounts import Accounts, Identity
from sandbox.clouds.web import Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
CLOCK = 15 * 60  # seconds that a request may be off


class Refused(Exception):
    """With AWS's code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Signature:
    """What a request says of its own signature. `scope` is day/region/service/aws4_request."""

    access_key: str
    scope: str
    headers: tuple[str, ...]
    moment: str
    value: str
    token: str
    lasts: float
    in_query: bool

    @property
    def age(self) -> float:
        """Seconds; negative when it comes from the future."""
        sent = datetime.strptime(self.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return time.time() - sent.timestamp()


def caller(request: Request, accounts: Accounts) -> Identity:
    """Who signed. Raises: Refused."""
    try:
        signature = _read(request)
    except (KeyError, ValueError) as error:
        raise Refused("AccessDenied", "The request is not signed.") from error
    found = accounts.find(signature.access_key)
    if not found:
        raise Refused("InvalidAccessKeyId", "The AWS access key ID you provided does not exist in our records.")
    if not hmac.compare_digest(_value(request, signature, found.secret), signature.value):
        raise Refused("SignatureDoesNotMatch", "The request signature we calculated does not match the one you sent.")
    if not -CLOCK <= signature.age <= signature.lasts:
        raise Refused("RequestTimeTooSkewed", f"Signature expired: {signature.moment} is too far from now.")
    if not hmac.compare_digest(signature.token, found.token):
        raise Refused("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if found.has_ended(time.time()):
        raise Refused("ExpiredToken", "The provided token has expired.")
    return found


def signed(request: Request, url: str, keys: tuple[str, str], region: str) -> tuple[Request, dict[str, str]]:
    """The request and its headers as somebody with `keys` would send it to the S3 server at `url`."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    ours = {"host": urlsplit(url).netloc, "x-amz-date": moment, "x-amz-content-sha256": _payload(request)}
    dropped = {"authorization", "x-amz-security-token"}
    headers = {name: value for name, value in request.headers.items() if name not in dropped} | ours
    bare = Request(request.method, _without_signature(request), headers, request.body)
    covered = tuple(sorted(name for name in headers if name.startswith("x-amz-") or name in ("host", "content-md5")))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    wanted = Signature(keys[0], scope, covered, moment, "", "", CLOCK, in_query=False)
    parts = f"Credential={keys[0]}/{scope}, SignedHeaders={';'.join(covered)}"
    return bare, headers | {"authorization": f"{ALGORITHM} {parts}, Signature={_value(bare, wanted, keys[1])}"}


def _read(request: Request) -> Signature:
    query, headers = dict(request.query), request.headers
    if "X-Amz-Signature" in query:
        names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature")
        credential, covered, value = (query[name] for name in names)
        moment, token, lasts = query["X-Amz-Date"], query.get("X-Amz-Security-Token", ""), float(query["X-Amz-Expires"])
    else:
        told = dict(part.strip().split("=", 1) for part in headers["authorization"].removeprefix(ALGORITHM).split(","))
        credential, covered, value = told["Credential"], told["SignedHeaders"], told["Signature"]
        moment, token, lasts = headers["x-amz-date"], headers.get("x-amz-security-token", ""), float(CLOCK)
    access_key, _, scope = credential.partition("/")
    in_query = "X-Amz-Signature" in query
    return Signature(access_key, scope, tuple(covered.split(";")), moment, value, token, lasts, in_query)


def _value(request: Request, signature: Signature, secret: str) -> str:
    canonical = _canonical(request, signature)
    text = "\n".join([ALGORITHM, signature.moment, signature.scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for step in signature.scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(request: Request, signature: Signature) -> str:
    covered = {name: " ".join(request.headers.get(name, "").split()) for name in signature.headers}
    lines = [f"{name}:{value}" for name, value in covered.items()]
    payload = UNSIGNED if signature.in_query else _payload(request)
    return "\n".join([request.method, request.path, _query(request), *lines, "", ";".join(covered), payload])


def _query(request: Request) -> str:
    pairs = [(name, value) for name, value in request.query if name != "X-Amz-Signature"]
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _payload(request: Request) -> str:
    return request.headers.get("x-amz-content-sha256") or (
        UNSIGNED if "X-Amz-Signature" in dict(request.query) else hashlib.sha256(request.body).hexdigest()
    )


def _without_signature(request: Request) -> str:
    """The target of a presigned address without what signs it."""
    if "X-Amz-Signature" not in dict(request.query):
        return request.target
    kept = [(name, value) for name, value in request.query if not name.startswith("X-Amz-")]
    return "?".join([request.path, "&".join(f"{quote(name)}={quote(value)}" for name, value in kept)]).rstrip("?")
