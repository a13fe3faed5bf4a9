"""What can go wrong with a store, in sentences for a person and as our errors."""

from __future__ import annotations

import re

from backups.storage import service_account
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, Trouble
from console.lib.errors import (
    BadInput,
    Busy,
    ConsoleError,
    Missing,
    NotPermitted,
    Refused,
    SignInRefused,
    Unreachable,
    clip,
)

_TEXTS: dict[Kind, tuple[str, str]] = {
    Kind.NAME_UNKNOWN: ("The name {name} cannot be resolved.", "Check {address}, and that the console's DNS knows it."),
    Kind.NOTHING_LISTENS: ("Nothing listens at {host}.", "Check {address} and its port, and that the store runs."),
    Kind.NO_ROUTE: ("There is no way to {host} from the console.", "Check the network and {address}."),
    Kind.NO_CONNECTION: ("{host} did not accept a connection in time.", "Check {address}, routes and firewalls."),
    Kind.NO_ANSWER: ("{host} did not answer in time.", "Try again; if it stays so, look at the store's load."),
    Kind.CLOSED: ("{host} closed the connection without an answer.", "Check whether its port wants http or https."),
    Kind.TLS_UNKNOWN_CA: (
        "The certificate of {host} is from an authority that the console does not know.",
        "Paste the authority's certificate (PEM) into the field Certificate.",
    ),
    Kind.TLS_SELF_SIGNED: (
        "The certificate of {host} is self-signed or from an authority of its own.",
        "Paste this certificate, or its authority's, into the field Certificate.",
    ),
    Kind.TLS_OTHER_NAME: (
        "The certificate of {host} is made out for another name.",
        "Use the name in the certificate as S3 URL, or have it renewed with this name.",
    ),
    Kind.TLS_EXPIRED: ("The certificate of {host} is not valid today.", "Have it renewed, or check the clocks."),
    Kind.TLS_FAILED: ("No secure connection to {host} came about: {detail}.", "Check the store's TLS settings."),
    Kind.PLAIN_PORT: ("The S3 URL says https, but {host} speaks plain http there.", "Correct the S3 URL or its port."),
    Kind.TLS_PORT: ("The S3 URL says http, but {host} wants https there.", "Write https:// in the S3 URL."),
    Kind.REDIRECTED: (
        "{host} sends the console on to another address, and the console does not follow.",
        "Enter the address of the store itself; a sign-in page or a proxy may be on the way.",
    ),
    Kind.NOT_S3: (
        "What answers at {host} is not an S3 store.",
        "Check {address}: the store's web console often has another port than its S3 service.",
    ),
    Kind.KEY_UNKNOWN: ("The store does not know this access key.", "Check the access key, or make a new pair of keys."),
    Kind.SECRET_WRONG: ("The secret key does not belong to this access key.", "Enter the secret key again."),
    Kind.TOKEN_EXPIRED: ("The temporary keys have run out.", "Enter new ones, or keys that do not expire."),
    Kind.CLOCK: (
        "The clocks of the console and the store differ{skew}, so the store refuses the signature.",
        "Set both clocks (NTP).",
    ),
    Kind.NO_BUCKET: ("There is no bucket {bucket}.", "Create it, or correct the name."),
    Kind.REGION: ("The bucket {bucket} is not in the region {region}.", "{right_region}"),
    Kind.PATH_STYLE: (
        "The store does not find the bucket by its host name.",
        "Turn on “Force S3 path style”.",
    ),
    Kind.DENIED: ("The keys do not allow {action} here.", "Add {action} to the rights of these keys."),
    Kind.NO_OBJECT: ("There is no such object in the bucket.", ""),
    Kind.TOO_LARGE: ("The object is larger than the console reads ({detail}).", "Download it with Velero's client."),
    Kind.DAMAGED: ("The object in the bucket is damaged or not what it should be.", ""),
    Kind.LOCKED: (
        "The bucket keeps its objects from being deleted for a time.",
        "Backups that expire or are deleted before that stay in the bucket; use a bucket without a lock.",
    ),
    Kind.NOT_FROM_HERE: (
        "Only the cluster can sign in here: the role is assumed with the cluster's own AWS identity.",
        "Ask a cluster's Velero instead.",
    ),
    Kind.ROLE_REFUSED: (
        "AWS does not let these keys assume the role. It does not say which of these is so: there is no role "
        "{role}, its trust policy does not name the account {account}, or it wants another External ID.",
        "Compare the role with the trust policy beside the form: the account and the External ID must be in it.",
    ),
    Kind.ROLE_UNTRUSTED: (
        "The role {role} does not trust the account {account}.",
        "Put the trust policy that is shown beside the form on the role.",
    ),
    Kind.ROLE_UNKNOWN: ("There is no role {role}.", "Copy the ARN from the role's page."),
    Kind.ROLE_NOT_PERMITTED: (
        "The user whose keys these are may not assume roles ({detail}).",
        "Allow this user sts:AssumeRole on the role.",
    ),
    Kind.EXTERNAL_ID_WRONG: (
        "The role wants another External ID.",
        "Put this location's External ID into the condition of the role's trust policy.",
    ),
    Kind.EXTERNAL_ID_IDLE: (
        "The role can be assumed without this External ID, so whoever else its account trusts can use it too.",
        "Require the External ID in the role's trust policy, as shown beside the form.",
    ),
    Kind.SESSION_TOO_LONG: (
        "The role does not allow sessions of one hour.",
        "Set the role's maximum session duration to one hour or more.",
    ),
    Kind.NOT_STS: ("What answers at {host} is not AWS STS.", "Check the region, and proxies on the way."),
    Kind.ACCOUNT_KEY_GONE: (
        "Google does not accept this key: it was deleted or disabled, or it is not this account's.",
        "Make a new JSON key of the service account and use that file.",
    ),
    Kind.ACCOUNT_GONE: (
        "Google does not know the service account {email}, or it is disabled.",
        "Enable it, or use the key of another service account.",
    ),
    Kind.TOKEN_REFUSED: ("Google does not accept the sign-in of {email}.", "Make a new JSON key and use that file."),
    Kind.NOT_GCS: ("What answers at {host} is not Google Cloud Storage.", "Look for a proxy on the way."),
    Kind.BUSY: ("The store asks to be left alone for a moment.", "Try again in a minute."),
    Kind.OTHER: ("The store refused: {detail}.", ""),
}
_PORT = re.compile(r":\d+$")
# To a service beside the store, whose address nobody enters.
_UNREACHED = frozenset({Kind.NAME_UNKNOWN, Kind.NOTHING_LISTENS, Kind.NO_ROUTE, Kind.NO_CONNECTION})
_WAY = "Check the way to it from the console: DNS, routes, firewalls, proxies."
# Where somebody else than plain keys signs in, the same trouble is mended elsewhere.
_OF_A_ROLE: dict[Kind, tuple[str, str]] = {
    Kind.TOKEN_EXPIRED: ("The session of the role has run out.", "Try again; if it stays so, set the clocks (NTP)."),
    Kind.DENIED: ("The role does not allow {action} here.", "Add {action} to the policy of the role."),
    Kind.KEY_UNKNOWN: (
        "AWS does not know the access key of the cloud account.",
        "Check the access key, or make a new pair of keys.",
    ),
}
_OF_GOOGLE: dict[Kind, tuple[str, str]] = {
    Kind.DENIED: (
        "The service account {email} may not do this here: {action}.",
        "Give it the role Storage Admin (roles/storage.admin) on the bucket.",
    ),
    Kind.CLOCK: (
        "The console's clock differs too much from Google's{skew}, so Google refuses the sign-in.",
        "Set the clock (NTP).",
    ),
    Kind.TOO_LARGE: ("The object is larger than the console reads ({detail}).", "Download it with gcloud storage cp."),
    Kind.TLS_UNKNOWN_CA: (
        "The certificate of {host} is from an authority that the console does not know.",
        "A proxy that opens connections to Google may be on the way.",
    ),
    Kind.OTHER: ("Google Cloud refused: {detail}.", ""),
}


_ERRORS: dict[Kind, type[ConsoleError]] = {
    **dict.fromkeys((Kind.KEY_UNKNOWN, Kind.SECRET_WRONG, Kind.TOKEN_EXPIRED, Kind.CLOCK), SignInRefused),
    **dict.fromkeys((kind for kind in Kind if kind.startswith(("role_", "external_id", "account_"))), SignInRefused),
    **dict.fromkeys((Kind.SESSION_TOO_LONG, Kind.TOKEN_REFUSED, Kind.NOT_FROM_HERE), SignInRefused),
    **dict.fromkeys((Kind.NO_BUCKET, Kind.NO_OBJECT), Missing),
    **dict.fromkeys((Kind.NAME_UNKNOWN, Kind.NOTHING_LISTENS, Kind.NO_ROUTE, Kind.NO_CONNECTION), Unreachable),
    **dict.fromkeys((Kind.NO_ANSWER, Kind.CLOSED), Unreachable),
    **dict.fromkeys((kind for kind in Kind if kind.startswith("tls_")), Unreachable),
    Kind.PLAIN_PORT: Unreachable,
    Kind.DENIED: NotPermitted,
    Kind.BUSY: Busy,
}


def sentences(trouble: Trouble, target: StorageTarget) -> tuple[str, str]:
    """The cause and what to do."""
    if trouble.kind in (Kind.SETTING, Kind.ADDRESS_REFUSED):
        return trouble.detail, trouble.action
    cause, remedy = _texts(trouble.kind, target)
    if trouble.host and trouble.kind in _UNREACHED:
        remedy = _WAY
    words = _words(trouble, target)
    return cause.format(**words), remedy.format(**words)


def _texts(kind: Kind, target: StorageTarget) -> tuple[str, str]:
    special = _OF_GOOGLE if target.provider == "gcp" else _OF_A_ROLE if target.role_arn else {}
    return special.get(kind) or _TEXTS[kind]


def _words(trouble: Trouble, target: StorageTarget) -> dict[str, str]:
    return {
        "host": trouble.host or _host(target),
        "name": _PORT.sub("", trouble.host or _host(target)),
        "address": "the S3 URL" if target.s3_url else "the region" if target.provider == "aws" else "the network",
        "bucket": clip(target.bucket, 80),
        "region": clip(target.region, 80),
        "right_region": _right_region(trouble),
        "action": trouble.action or "this",
        "detail": trouble.detail or "without a reason",
        "skew": "" if trouble.skew is None else f" by {_duration(trouble.skew)}",
        "role": clip(target.role_arn, 200),
        "account": _account(trouble),
        "email": _email(target),
    }


def _account(trouble: Trouble) -> str:
    """That of the keys, where AWS names it."""
    parts = trouble.detail.split(":")
    return parts[4] if trouble.detail.startswith("arn:") and len(parts) > 5 else "of these keys"


def _email(target: StorageTarget) -> str:
    try:
        return clip(service_account.read(target.service_account, loopback=True).email, 120)
    except ConsoleError:
        return "of the key"


def _host(target: StorageTarget) -> str:
    if target.provider == "gcp":
        return clip(target.gcs_url.partition("://")[2].strip("/") or "storage.googleapis.com", 120)
    return clip(target.s3_url.partition("://")[2].strip("/") if target.s3_url else f"AWS S3 in {target.region}", 120)


def _right_region(trouble: Trouble) -> str:
    if trouble.region:
        return f"Set the region to {trouble.region}."
    return "Look up the bucket's region and enter it."


def _duration(seconds: float) -> str:
    minutes = round(abs(seconds) / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"


def console_error(trouble: Trouble, target: StorageTarget) -> ConsoleError:
    """`trouble` as one of our errors."""
    cause, remedy = sentences(trouble, target)
    if trouble.kind is Kind.SETTING:
        return BadInput(cause, field=trouble.field, remedy=remedy)
    return _ERRORS.get(trouble.kind, Refused)(cause, remedy=remedy)
