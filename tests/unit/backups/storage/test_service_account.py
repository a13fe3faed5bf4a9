"""Which JSON is a service account's key, and what the others are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backups.storage import service_account
from backups.storage.service_account import TOKEN_URIS
from console.lib.errors import BadInput
from tests.fakes.gcs import EMAIL, key_file

GOOD = TOKEN_URIS[0]


def test_a_key_as_google_hands_it_out() -> None:
    key = service_account.read("\ufeff  " + key_file(GOOD, unheard_of="dropped", universe_domain="googleapis.com"))
    assert (key.email, key.project, key.token_uri) == (EMAIL, "contract", GOOD)
    assert set(json.loads(key.text)) <= set(service_account._KNOWN)
    assert service_account.read(key.text) == key
    assert "PRIVATE KEY" not in repr(key)


OTHERS: list[tuple[str, str]] = [
    ("", "missing"),
    ("   \n", "missing"),
    ("<!doctype html><title>Sign in</title>", "web page"),
    ("-----BEGIN PRIVATE KEY-----", "PEM file"),
    ("{'type': 'service_account'}", "not JSON"),
    (key_file(GOOD)[:200], "not JSON, or not all"),
    ("[" * 10_000, "not JSON"),
    ('["service_account"]', "not a key file"),
    ('"text"', "not a key file"),
    (json.dumps({"type": "authorized_user", "refresh_token": "r"}), "person's own sign-in"),
    (json.dumps({"type": "external_account", "credential_source": {"url": "http://x"}}), "nothing can be signed"),
    (json.dumps({"type": "external_account", "credential_source": {"executable": {"command": "id"}}}), "federation"),
    (json.dumps({"type": "external_account_authorized_user"}), "workforce"),
    (json.dumps({"type": "impersonated_service_account"}), "act as a service account"),
    (json.dumps({"installed": {"client_id": "x"}}), "OAuth client"),
    (json.dumps({"type": ["service_account"]}), "not the key of a service account"),
    (json.dumps({"kind": "Config"}), "not the key of a service account"),
    (" " * 40_000 + "{}", "too large"),
]


@pytest.mark.parametrize(("text", "why"), OTHERS)
def test_anything_else(text: str, why: str) -> None:
    with pytest.raises(BadInput) as refusal:
        service_account.read(text)
    assert why in refusal.value.message
    assert refusal.value.field == "service_account"
    assert refusal.value.remedy


PARTS: list[tuple[dict[str, Any], str]] = [
    ({"client_email": ""}, "client_email"),
    ({"private_key": None}, "private_key missing"),
    ({"project_id": 7, "token_uri": ""}, "project_id, token_uri"),
    ({"private_key": "-----BEGIN PRIVATE KEY-----\nMII"}, "not whole"),
    ({"token_uri": "https://oauth2.googleapis.com.evil.example/token"}, "token_uri"),
    ({"token_uri": "https://oauth2.googleapis.com@evil.example/token"}, "token_uri"),
    ({"token_uri": "http://oauth2.googleapis.com/token"}, "token_uri"),
    ({"token_uri": "http://169.254.169.254/token"}, "token_uri"),
    ({"token_uri": "http://127.0.0.1:1/token"}, "token_uri"),
    ({"universe_domain": "evil.example"}, "another cloud"),
]


@pytest.mark.parametrize(("changes", "why"), PARTS)
def test_a_key_with_something_wrong_in_it(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why) as refusal:
        service_account.read(key_file(GOOD, **changes))
    assert "evil" not in refusal.value.sentence()
    assert "MII" not in refusal.value.sentence()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/token", "http://[::1]:1/token"])
def test_this_machine_only_where_it_is_allowed(uri: str) -> None:
    assert service_account.read(key_file(uri), loopback=True).token_uri == uri
    for other in ("http://10.0.0.1/token", "http://localhost.evil.example/token", "ftp://127.0.0.1/", "http://["):
        with pytest.raises(BadInput):
            service_account.read(key_file(other), loopback=True)
