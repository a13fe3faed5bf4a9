"""A Google Cloud service account's key file: read by us, because a JSON of another kind makes the SDK do other things.

`external_account` has the SDK fetch from any address or run a program; with it Velero cannot sign addresses either, so
that no log can be read. `token_uri` and `universe_domain` say whom the key is shown to: only Google, for us and for the
Velero that gets the same text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from console.lib.errors import BadInput

FIELD = "service_account"
GOOGLE = "googleapis.com"
TOKEN_URIS = (
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
)
LARGEST = 32 * 1024  # characters
_NEEDED = ("project_id", "private_key_id", "private_key", "client_email", "token_uri")
_KNOWN = ("type", *_NEEDED, "client_id", "auth_uri", "auth_provider_x509_cert_url", "client_x509_cert_url")
_MAKE_ONE = "Make a JSON key of a service account (IAM & Admin > Service Accounts > Keys) and use that file."
_OTHER_KINDS = {
    "authorized_user": "This is a person's own sign-in from gcloud, not the key of a service account.",
    "external_account": "This is a workload identity federation file: nothing can be signed with it, so neither logs "
    "nor contents of backups could be read.",
    "external_account_authorized_user": "This is a workforce identity's sign-in, not the key of a service account.",
    "impersonated_service_account": "This lets somebody else act as a service account; it is not that account's key.",
    "gdch_service_account": "This is for Google Distributed Cloud, not for Google Cloud Storage.",
}


@dataclass(frozen=True, kw_only=True)
class ServiceAccountKey:
    """`info` holds what is known of such a file and nothing else."""

    email: str
    project: str
    token_uri: str
    info: dict[str, str] = field(repr=False)

    @property
    def text(self) -> str:
        """The file again."""
        return json.dumps(self.info)


def read(text: str, *, loopback: bool = False) -> ServiceAccountKey:
    """`loopback`: whether tokens may come from this machine (the sandbox).

    Raises: BadInput for anything but a service account's key, saying what it is instead; never repeats the text.
    """
    found = _object(text)
    _check_kind(found)
    missing = [name for name in _NEEDED if not isinstance(found.get(name), str) or not found[name].strip()]
    if missing:
        raise _refused(f"The key file is not complete: {', '.join(missing)} missing.", "Download it again, as a whole.")
    info = {name: found[name] for name in _KNOWN if isinstance(found.get(name), str)}
    _check_private_key(info["private_key"])
    _check_google(info["token_uri"], found.get("universe_domain") or GOOGLE, loopback=loopback)
    return ServiceAccountKey(
        email=info["client_email"], project=info["project_id"], token_uri=info["token_uri"], info=info
    )


def _object(text: str) -> dict[str, Any]:
    stripped = text.lstrip("\ufeff \t\r\n")
    if not stripped:
        raise _refused("The JSON credentials are missing.", _MAKE_ONE)
    if len(text) > LARGEST:
        raise _refused("This is too large for a key file.", _MAKE_ONE)
    if stripped.startswith("<"):
        raise _refused("This is a web page, not a JSON file: perhaps a sign-in page was saved.", _MAKE_ONE)
    if stripped.startswith("-----BEGIN"):
        raise _refused("This is a PEM file, not a JSON file.", "Use the whole JSON file that the key came in.")
    try:
        found = json.loads(stripped)
    except (ValueError, RecursionError) as error:
        raise _refused("This is not JSON, or not all of it.", "Copy the file as a whole, or upload it.") from error
    if not isinstance(found, dict):
        raise _refused("This is JSON, but not a key file.", _MAKE_ONE)
    return found


def _check_kind(found: dict[str, Any]) -> None:
    kind = found.get("type")
    if kind == "service_account":
        return
    if kind is None and ("installed" in found or "web" in found):
        raise _refused("This is an OAuth client, not the key of a service account.", _MAKE_ONE)
    said = _OTHER_KINDS.get(kind) if isinstance(kind, str) else None
    raise _refused(said or "This JSON is not the key of a service account.", _MAKE_ONE)


def _check_private_key(pem: str) -> None:
    lines = pem.strip().splitlines()
    if len(lines) < 3 or "PRIVATE KEY" not in lines[0] or "PRIVATE KEY" not in lines[-1]:
        raise _refused("The private key in the file is not whole.", "Copy the file as a whole, or upload it.")


def _check_google(token_uri: str, universe: object, *, loopback: bool) -> None:
    if universe != GOOGLE:
        raise _refused("The key is for another cloud than Google's public one.", _MAKE_ONE)
    if token_uri in TOKEN_URIS or (loopback and _is_this_machine(token_uri)):
        return
    raise _refused(
        "The file's token_uri does not lead to Google: the key would be shown to somebody else.",
        "Use the file as Google made it; do not use one that you did not download yourself.",
    )


def _is_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _refused(why: str, remedy: str) -> BadInput:
    return BadInput(why, field=FIELD, remedy=remedy)
