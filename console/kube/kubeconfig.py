"""Kubeconfigs from people, turned into what the console needs to connect, by allow-list.

The stock loader starts programs (`exec`, `cmd-path`), reads files (`tokenFile`, `client-key`) and obeys proxies: a
pasted text could run commands on this machine. This one reads text and nothing else: no process, no file, no lookup.
What it does not know it refuses by name, so that nothing a person relies on is dropped in silence.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from console.kube.yamltext import read_mapping
from console.lib.certificates import CertificateFacts, read_bundle, read_pair
from console.lib.errors import BadInput, clip

FIELD = "kubeconfig"
LARGEST = 2**20
_LONGEST_TOKEN = 16 * 1024
_MOST_NAMES_SHOWN = 20
_SERVICE_ACCOUNT = "Use the ServiceAccount manifest offered on this page: it yields a kubeconfig with a token."
_EMBED = "Embed the files: kubectl config view --minify --flatten --raw."

_REFUSED_IN_CLUSTER = {
    "certificate-authority": ("names a file for the CA certificate; the console reads no files", _EMBED),
    "proxy-url": ("asks for a proxy; the console connects directly", "Remove proxy-url."),
    "insecure-skip-tls-verify": (
        "switches the check of the server's certificate off",
        "Remove insecure-skip-tls-verify and add certificate-authority-data.",
    ),
}
_KNOWN_IN_CLUSTER = frozenset(
    {"server", "certificate-authority-data", "tls-server-name", "disable-compression", "extensions"}
)
_NO_IMPERSONATION = ("impersonates another identity", "Use the credentials of that identity itself.")
_NO_PASSWORD = ("signs in with a password, which Kubernetes no longer supports", _SERVICE_ACCOUNT)
_REFUSED_IN_USER = {
    "exec": ("runs a program to sign in (exec); the console runs none", _SERVICE_ACCOUNT),
    "auth-provider": ("signs in through an auth-provider plugin; the console runs none", _SERVICE_ACCOUNT),
    "tokenFile": ("names a file for the token (tokenFile); the console reads no files", "Put the token into token."),
    "client-certificate": ("names a file for the client certificate; the console reads no files", _EMBED),
    "client-key": ("names a file for the client key; the console reads no files", _EMBED),
    "as": _NO_IMPERSONATION,
    "as-uid": _NO_IMPERSONATION,
    "as-groups": _NO_IMPERSONATION,
    "as-user-extra": _NO_IMPERSONATION,
    "username": _NO_PASSWORD,
    "password": _NO_PASSWORD,
}
_KNOWN_IN_USER = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
_KNOWN_IN_CONTEXT = frozenset({"cluster", "user", "namespace", "extensions"})

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?|[0-9A-Fa-f:.]{2,45}")
_PATH = re.compile(r"[A-Za-z0-9._~/:@%-]*")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class ClusterAccess:
    """How to reach one API server, and as whom. Its text form shows no credential.

    `ca_data` None means the CAs that this machine trusts. Certificate and key are PEM. `expires_at` (UTC) is the
    earlier of the certificate's and the token's end; None when neither tells.
    """

    server: str
    context: str
    cluster: str
    user: str
    ca_data: bytes | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    client_certificate: bytes | None = field(default=None, repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    tls_server_name: str = ""
    expires_at: datetime | None = None

    @property
    def host(self) -> str:
        """Host and port as a person writes them, for messages."""
        return urlsplit(self.server).netloc


def contexts(text: str | bytes) -> list[str]:
    """The names of the contexts in a kubeconfig, in its order.

    Raises: BadInput.
    """
    return _context_names(_document(text))


def parse_kubeconfig(text: str | bytes, *, context: str | None = None) -> ClusterAccess:
    """What `context` (else the current context, else the only one) says about reaching its cluster.

    Only the stanzas of that context are judged: a kubeconfig may hold other users that need a plugin.

    Raises: BadInput with field "kubeconfig"; with several contexts and no choice, it lists them.
    """
    document = _document(text)
    name = _chosen_context(document, context)
    chosen = _stanza(document, "contexts", "context", name)
    _allow_only(chosen, _KNOWN_IN_CONTEXT, {}, f"The context “{clip(name, 60)}”")
    cluster, user = _text(chosen, "cluster", "context"), _text(chosen, "user", "context")
    if not cluster or not user:
        raise _bad(f"The context “{clip(name, 60)}” does not name both a cluster and a user.")
    target = _stanza(document, "clusters", "cluster", cluster)
    identity = _stanza(document, "users", "user", user)
    _allow_only(target, _KNOWN_IN_CLUSTER, _REFUSED_IN_CLUSTER, f"The cluster “{clip(cluster, 60)}”")
    _allow_only(identity, _KNOWN_IN_USER, _REFUSED_IN_USER, f"The user “{clip(user, 60)}”")
    return _access(target, identity, context=name, cluster=cluster, user=user)


def _access(
    target: dict[Any, Any], identity: dict[Any, Any], *, context: str, cluster: str, user: str
) -> ClusterAccess:
    certificate, key, facts = _client_pair(identity)
    token = _token(identity)
    if not token and certificate is None:
        raise _bad(f"The user “{clip(user, 60)}” has neither a token nor a client certificate.", _SERVICE_ACCOUNT)
    ends = [end for end in (facts.not_after if facts else None, _token_end(token)) if end is not None]
    return ClusterAccess(
        server=_server(_text(target, "server", "cluster")),
        context=context,
        cluster=cluster,
        user=user,
        ca_data=_ca(target),
        token=token,
        client_certificate=certificate,
        client_key=key,
        tls_server_name=_tls_server_name(target),
        expires_at=min(ends, default=None),
    )


# --- the document ---------------------------------------------------------------------------------------------------


def _document(text: str | bytes) -> dict[Any, Any]:
    document = read_mapping(text, what="kubeconfig", field=FIELD, largest=LARGEST)
    kind = document.get("kind", "Config")
    if kind != "Config":
        raise _bad(f"This is a {clip(kind, 60)}, not a kubeconfig.", "A kubeconfig has kind: Config.")
    if document.get("apiVersion", "v1") != "v1":
        raise _bad(f"Kubeconfigs of version {clip(document['apiVersion'], 60)} are not known; only v1 is.")
    return document


def _entries(document: dict[Any, Any], section: str) -> list[dict[Any, Any]]:
    entries = document.get(section) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _bad(f"In the kubeconfig, {section} is not a list of named entries.")
    return entries


def _context_names(document: dict[Any, Any]) -> list[str]:
    names = [_text(entry, "name", "context") for entry in _entries(document, "contexts")]
    if not any(names):
        raise _bad("The kubeconfig holds no context.", "Export it again: kubectl config view --minify --flatten --raw.")
    return [name for name in names if name]


def _chosen_context(document: dict[Any, Any], wanted: str | None) -> str:
    names = _context_names(document)
    choice = wanted or _text(document, "current-context", "kubeconfig")
    if not choice and len(names) == 1:
        return names[0]
    if choice in names:
        return choice
    problem = f"There is no context “{clip(choice, 60)}”." if choice else "The kubeconfig holds several contexts."
    listed = ", ".join(clip(name, 120) for name in names[:_MOST_NAMES_SHOWN])
    more = f" and {len(names) - _MOST_NAMES_SHOWN} more" if len(names) > _MOST_NAMES_SHOWN else ""
    raise _bad(problem, f"Choose one of: {listed}{more}.")


def _stanza(document: dict[Any, Any], section: str, key: str, name: str) -> dict[Any, Any]:
    """The body of the entry called `name`; two of one name are refused, as kubectl does."""
    found = [entry for entry in _entries(document, section) if entry.get("name") == name]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise _bad(f"The kubeconfig has {count} {key} named “{clip(name, 60)}”.")
    _allow_only(found[0], frozenset({"name", key}), {}, f"The entry of the {key} “{clip(name, 60)}”")
    body = found[0].get(key)
    if not isinstance(body, dict):
        raise _bad(f"The {key} “{clip(name, 60)}” is empty.")
    return body


def _allow_only(body: dict[Any, Any], known: frozenset[str], refused: dict[str, tuple[str, str]], subject: str) -> None:
    for key, value in body.items():
        if key in known:
            continue
        if key not in refused:
            raise _bad(f"{subject} has a field the console does not know: {clip(key, 60)}.", "Remove it.")
        if value:  # an empty or false value asks for nothing
            problem, remedy = refused[key]
            raise _bad(f"{subject} {problem}.", remedy)


def _text(body: dict[Any, Any], key: str, where: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(f"In the {where}, {key} is not text.", "Put the value in quotes.")
    return value


# --- the values -----------------------------------------------------------------------------------------------------


def _server(url: str) -> str:
    """The server's URL without a trailing slash: https, host, port and path only."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise _bad("The cluster's server is not a usable URL.", "Example: https://203.0.113.7:6443") from error
    if parts.scheme != "https":
        raise _bad(
            "The cluster's server must begin with https://; anything else would send the credentials in the open."
        )
    if "@" in parts.netloc:
        raise _bad("The cluster's server URL holds a user name.", "Remove everything before the @.")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise _bad("The cluster's server URL holds a query or fragment.", "Remove everything from ? or # on.")
    plain = url.isascii() and url.isprintable() and _HOST.fullmatch(host) and _PATH.fullmatch(parts.path)
    if not plain or port == 0 or len(url) > 2048 or {".", ".."} & set(parts.path.split("/")):
        raise _bad("The cluster's server is not a usable URL.", "Example: https://203.0.113.7:6443")
    return url.rstrip("/")


def _ca(target: dict[Any, Any]) -> bytes | None:
    data = _decoded(target, "certificate-authority-data", "cluster")
    if data is None:
        return None
    bundle = read_bundle(data, field=FIELD)
    if all(certificate.is_expired() for certificate in bundle):
        raise _bad(f"The cluster's CA certificate expired on {_day(bundle[0].not_after)}.", "Get a new kubeconfig.")
    return data


def _client_pair(identity: dict[Any, Any]) -> tuple[bytes | None, bytes | None, CertificateFacts | None]:
    certificate = _decoded(identity, "client-certificate-data", "user")
    key = _decoded(identity, "client-key-data", "user")
    if certificate is None and key is None:
        return None, None, None
    if certificate is None or key is None:
        raise _bad("Of client-certificate-data and client-key-data only one is there.", "Give both.")
    facts = read_pair(certificate, key, field=FIELD)
    if facts.is_expired():
        raise _bad(f"The client certificate expired on {_day(facts.not_after)}.", "Get a new kubeconfig.")
    return certificate, key, facts


def _token(identity: dict[Any, Any]) -> str:
    token = _text(identity, "token", "user")
    if token and (not _TOKEN.fullmatch(token) or len(token) > _LONGEST_TOKEN):
        raise _bad("The token holds spaces or characters a token cannot have, or is too long.", "Copy it again.")
    end = _token_end(token)
    if end is not None and end <= datetime.now(UTC):
        raise _bad(f"The token expired on {_day(end)}.", "Make a new one, as the ServiceAccount manifest describes.")
    return token


def _token_end(token: str) -> datetime | None:
    """`exp` of a JWT, read without checking its signature: only the API server can do that. None for other tokens."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, OSError, RecursionError):
        return None


def _tls_server_name(target: dict[Any, Any]) -> str:
    """Accepted: the certificate is still checked, only against another name (needed behind load balancers)."""
    name = _text(target, "tls-server-name", "cluster")
    if name and not (name.isascii() and _HOST.fullmatch(name)):
        raise _bad("The cluster's tls-server-name is not a host name.")
    return name


def _decoded(body: dict[Any, Any], key: str, where: str) -> bytes | None:
    text = "".join(_text(body, key, where).split())
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(f"In the {where}, {key} is not valid base64.", "Copy it again, as a whole.") from error


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _bad(message: str, remedy: str = "") -> BadInput:
    return BadInput(message, field=FIELD, remedy=remedy)
