"""Kubeconfigs for tests: a good one, and more than forty that nobody should act on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes.pki import Authority, Pair, pem_key

# Replaced by an existing file, or the port of a listener, where a test looks whether they are touched.
CANARY_FILE = "/@CANARY-FILE@"
CANARY_PORT = "59999"

TOKEN = "an-opaque-token"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@cache
def authority() -> Authority:
    return Authority("cluster-ca")


@cache
def client(days: int = 1) -> Pair:
    return authority().client("somebody", days=days)


def document(
    *,
    cluster: dict[str, Any] | None = None,
    user: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """A good kubeconfig, with what is given put on top; a value of None removes the field."""
    stanza = {"server": "https://203.0.113.7:6443", "certificate-authority-data": encoded(authority().certificate)}
    return without_none(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "east", "cluster": without_none(stanza | (cluster or {}))}],
            "users": [{"name": "ops", "user": without_none({"token": TOKEN} | (user or {}))}],
            "contexts": [{"name": "east-ops", "context": {"cluster": "east", "user": "ops"} | (context or {})}],
            "current-context": "east-ops",
        }
        | top
    )


def without_none(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if value is not None}


def text(**parts: Any) -> str:
    """A kubeconfig as JSON, which is YAML."""
    return json.dumps(document(**parts))


def jwt(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.c2lnbmF0dXJl"


def _exec(**extra: Any) -> str:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/true", "interactiveMode": "Never"}
    return text(user={"token": None, "exec": plugin | extra})


def _oidc() -> str:
    config = {
        "idp-issuer-url": f"https://127.0.0.1:{CANARY_PORT}",
        "client-id": "x",
        "client-secret": "y",
        "refresh-token": "z",
        "id-token": jwt(exp=1),
    }
    return text(user={"token": None, "auth-provider": {"name": "oidc", "config": config}})


def _gcp() -> str:
    config = {"cmd-path": "/bin/true", "cmd-args": "x", "expiry": "2001-01-01T00:00:00Z", "access-token": "x"}
    return text(user={"token": None, "auth-provider": {"name": "gcp", "config": config}})


def _pair(certificate: bytes, key: bytes) -> str:
    user = {"token": None, "client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    return text(user=user)


def _several_contexts() -> str:
    entries = [{"name": name, "context": {"cluster": "east", "user": "ops"}} for name in ("one", "two")]
    return text(contexts=entries, **{"current-context": None})


def _twice(section: str) -> str:
    whole = document()
    whole[section] = whole[section] * 2
    return json.dumps(whole)


def _bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines)


# A word that the refusal must contain, and the text.
HOSTILE: dict[str, tuple[str, Callable[[], str | bytes]]] = {
    "exec": ("exec", _exec),
    "exec with arguments and environment": (
        "exec",
        lambda: _exec(args=["-c", "id"], env=[{"name": "LD_PRELOAD", "value": "/tmp/x.so"}]),
    ),
    "exec by relative path": ("exec", lambda: _exec(command="./true")),
    "exec beside a token": (
        "exec",
        lambda: text(user={"exec": {"command": "/bin/true", "apiVersion": "client.authentication.k8s.io/v1"}}),
    ),
    "exec through a merge key": (
        "exec",
        lambda: text(user={"token": None, "<<": {"exec": {"command": "/bin/true"}}}).replace('"<<"', "<<"),
    ),
    "auth-provider that runs a command": ("auth-provider", _gcp),
    "auth-provider that calls a server": ("auth-provider", _oidc),
    "auth-provider of Azure": ("auth-provider", lambda: text(user={"auth-provider": {"name": "azure", "config": {}}})),
    "token file": ("tokenFile", lambda: text(user={"token": None, "tokenFile": CANARY_FILE})),
    "token file beside a token": ("tokenFile", lambda: text(user={"tokenFile": CANARY_FILE})),
    "certificate file": (
        "client certificate",
        lambda: text(user={"client-certificate": CANARY_FILE, "client-key": CANARY_FILE}),
    ),
    "key file": ("client key", lambda: text(user={"client-key": CANARY_FILE})),
    "key file from the process table": ("client key", lambda: text(user={"client-key": "/proc/self/environ"})),
    "CA file": (
        "CA certificate",
        lambda: text(cluster={"certificate-authority": CANARY_FILE, "certificate-authority-data": None}),
    ),
    "proxy": ("proxy-url", lambda: text(cluster={"proxy-url": f"http://127.0.0.1:{CANARY_PORT}"})),
    "SOCKS proxy": ("proxy-url", lambda: text(cluster={"proxy-url": f"socks5://127.0.0.1:{CANARY_PORT}"})),
    "no certificate check": ("insecure-skip-tls-verify", lambda: text(cluster={"insecure-skip-tls-verify": True})),
    "no certificate check, as text": ("insecure-skip", lambda: text(cluster={"insecure-skip-tls-verify": "true"})),
    "server without TLS": ("https://", lambda: text(cluster={"server": "http://203.0.113.7:6443"})),
    "server that is a file": ("https://", lambda: text(cluster={"server": f"file://{CANARY_FILE}"})),
    "server of another scheme": ("https://", lambda: text(cluster={"server": "gopher://203.0.113.7:6379/_x"})),
    "server that is a socket": ("https://", lambda: text(cluster={"server": "unix:///var/run/docker.sock"})),
    "server with a user name": ("user name", lambda: text(cluster={"server": "https://a:b@203.0.113.7"})),
    "server with a query": ("query", lambda: text(cluster={"server": "https://203.0.113.7/?a=b"})),
    "server with a fragment": ("fragment", lambda: text(cluster={"server": "https://203.0.113.7/#a"})),
    "server with a line break": ("URL", lambda: text(cluster={"server": "https://203.0.113.7/\r\nX-Evil: 1"})),
    "server with a blank": ("URL", lambda: text(cluster={"server": "https://203.0.113.7 evil.example"})),
    "server with a backslash": ("URL", lambda: text(cluster={"server": "https://good.example\\@evil.example"})),
    "server that climbs": ("URL", lambda: text(cluster={"server": "https://203.0.113.7/a/../../b"})),
    "server in another script": ("URL", lambda: text(cluster={"server": "https://\u0435xample.com"})),
    "server without a host": ("URL", lambda: text(cluster={"server": "https://:6443"})),
    "server with an odd port": ("URL", lambda: text(cluster={"server": "https://203.0.113.7:99999"})),
    "no server": ("https://", lambda: text(cluster={"server": None})),
    "server that is a list": ("text", lambda: text(cluster={"server": ["https://203.0.113.7"]})),
    "odd TLS name": ("tls-server-name", lambda: text(cluster={"tls-server-name": "a b\n"})),
    "another user": ("impersonates", lambda: text(user={"as": "system:admin"})),
    "another uid": ("impersonates", lambda: text(user={"as-uid": "1"})),
    "other groups": ("impersonates", lambda: text(user={"as-groups": ["system:masters"]})),
    "other extras": ("impersonates", lambda: text(user={"as-user-extra": {"scopes": ["x"]}})),
    "password": ("password", lambda: text(user={"token": None, "username": "a", "password": "b"})),
    "alias bomb": ("aliases", _bomb),
    "one alias": ("aliases", lambda: "clusters: &a []\nusers: *a\n"),
    "Python object": ("YAML", lambda: "!!python/object/apply:os.system ['true']"),
    "Python module": ("YAML", lambda: "clusters: !!python/module:os"),
    "own tag": ("YAML", lambda: "clusters: !include /etc/passwd"),
    "deep nesting": ("nested", lambda: "[" * 100_000),
    "deep mappings": ("nested", lambda: "\n".join(" " * depth + "a:" for depth in range(60))),
    "five megabytes": ("5.0 MiB", lambda: "#" + "x" * (5 * 2**20)),
    "not text": ("not text", lambda: b"\xff\xfa\x00\x9f" * 100),
    "null bytes": ("YAML", lambda: "clusters:\x00[]"),
    "an enormous number": ("YAML", lambda: "clusters: " + "9" * 10_000),
    "a date that is none": ("YAML", lambda: "clusters: 2001-99-99"),
    "a list": ("kubeconfig", lambda: "- a\n- b\n"),
    "a word": ("kubeconfig", lambda: "hello"),
    "nothing": ("kubeconfig", lambda: ""),
    "two documents": ("more than one document", lambda: text() + "\n---\n" + text()),
    "another kind": ("Secret", lambda: text(kind="Secret")),
    "another version": ("v2", lambda: text(apiVersion="v2")),
    "a field given twice": ("twice", lambda: "current-context: a\ncurrent-context: b\n"),
    "several contexts, none chosen": ("one, two", _several_contexts),
    "a context that is not there": ("east-ops", lambda: text(**{"current-context": "west"})),
    "a context without cluster": ("does not name", lambda: text(context={"cluster": None})),
    "a cluster that is not there": ("no cluster", lambda: text(context={"cluster": "west"})),
    "two clusters of one name": ("more than one cluster", lambda: _twice("clusters")),
    "two users of one name": ("more than one user", lambda: _twice("users")),
    "clusters that are no list": ("clusters is not a list", lambda: text(clusters={"east": {}})),
    "an unknown field of the user": ("magic", lambda: text(user={"magic": True})),
    "an unknown field of the cluster": ("magic", lambda: text(cluster={"magic": True})),
    "an unknown field of the context": ("magic", lambda: text(context={"magic": True})),
    "CA that is not base64": ("base64", lambda: text(cluster={"certificate-authority-data": "%%%"})),
    "CA that is not PEM": ("PEM", lambda: text(cluster={"certificate-authority-data": encoded(b"hello")})),
    "damaged CA": (
        "damaged",
        lambda: text(cluster={"certificate-authority-data": encoded(authority().certificate.replace(b"MII", b"AAA"))}),
    ),
    "a private key for a CA": (
        "private key",
        lambda: text(cluster={"certificate-authority-data": encoded(client().certificate + client().key)}),
    ),
    "expired CA": (
        "expired",
        lambda: text(cluster={"certificate-authority-data": encoded(Authority("old", days=-1).certificate)}),
    ),
    "the key of another certificate": (
        "does not belong",
        lambda: _pair(client().certificate, authority().client("other").key),
    ),
    "an encrypted key": (
        "passphrase",
        lambda: _pair(client().certificate, pem_key(ec.generate_private_key(ec.SECP256R1()), password=b"x")),
    ),
    "a key that is none": ("client key cannot be read", lambda: _pair(client().certificate, b"hello")),
    "an expired client certificate": ("expired", lambda: _pair(client(-1).certificate, client(-1).key)),
    "a certificate without key": (
        "only one",
        lambda: text(user={"token": None, "client-certificate-data": encoded(client().certificate)}),
    ),
    "an expired token": (
        "expired",
        lambda: text(user={"token": jwt(exp=int((datetime.now(UTC) - timedelta(hours=1)).timestamp()))}),
    ),
    "a token that smuggles a header": ("token", lambda: text(user={"token": "a\r\nX-Remote-User: admin"})),
    "a token that is a number": ("text", lambda: text(user={"token": 12345})),
    "an endless token": ("token", lambda: text(user={"token": "x" * 100_000})),
    "no credentials": ("neither", lambda: text(user={"token": None})),
}
