"""Kubeconfigs: what is accepted and what it becomes, what is refused and how."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from console.kube.kubeconfig import contexts, parse_kubeconfig
from console.lib.errors import BadInput
from tests.unit.console.kube.kubeconfigs import (
    HOSTILE,
    TOKEN,
    authority,
    client,
    document,
    encoded,
    jwt,
    text,
)

ROOT = Path(__file__).parents[4]

_WORDS = [
    *("apiVersion", "kind", "current-context", "clusters", "users", "contexts", "name", "cluster", "user", "context"),
    *("server", "token", "client-key-data", "certificate-authority-data", "x"),
]
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=6),
    max_leaves=20,
)


class TestAccepted:
    def test_a_token_and_a_ca(self) -> None:
        access = parse_kubeconfig(text())
        assert access.server == "https://203.0.113.7:6443"
        assert access.host == "203.0.113.7:6443"
        assert (access.context, access.cluster, access.user) == ("east-ops", "east", "ops")
        assert access.ca_data == authority().certificate
        assert access.token == TOKEN
        assert access.expires_at is None

    def test_yaml_as_kubectl_writes_it(self) -> None:
        assert parse_kubeconfig(yaml.safe_dump(document())) == parse_kubeconfig(text())

    def test_a_client_certificate_tells_its_end(self) -> None:
        pair = client()
        user = {
            "token": None,
            "client-certificate-data": encoded(pair.certificate),
            "client-key-data": encoded(pair.key),
        }
        access = parse_kubeconfig(text(user=user))
        assert access.client_certificate == pair.certificate
        assert access.client_key == pair.key
        assert access.expires_at is not None
        assert timedelta(hours=23) < access.expires_at - datetime.now(UTC) < timedelta(hours=25)

    def test_a_jwt_tells_its_end(self) -> None:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
        access = parse_kubeconfig(text(user={"token": jwt(exp=int(end.timestamp()))}))
        assert access.expires_at == end

    def test_the_earlier_end_counts(self) -> None:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
        user = {
            "token": jwt(exp=int(end.timestamp())),
            "client-certificate-data": encoded(client().certificate),
            "client-key-data": encoded(client().key),
        }
        assert parse_kubeconfig(text(user=user)).expires_at == end

    @pytest.mark.parametrize("token", ["a.b.c", jwt(exp="soon"), jwt(exp=1e300), jwt(sub="x"), "..", "x.bnVsbA.y"])
    def test_a_token_that_tells_no_end(self, token: str) -> None:
        assert parse_kubeconfig(text(user={"token": token})).expires_at is None

    @pytest.mark.parametrize(
        "server",
        [
            "https://api.example.com",
            "https://api.example.com:6443/",
            "https://rancher.example.com/k8s/clusters/c-m-abc123",
            "https://[2001:db8::7]:6443",
            "https://kubernetes.default.svc.",
        ],
    )
    def test_servers(self, server: str) -> None:
        assert parse_kubeconfig(text(cluster={"server": server})).server == server.rstrip("/")

    def test_without_ca_the_machine_s_own_are_meant(self) -> None:
        assert parse_kubeconfig(text(cluster={"certificate-authority-data": None})).ca_data is None

    def test_another_name_for_tls(self) -> None:
        assert parse_kubeconfig(text(cluster={"tls-server-name": "api.internal"})).tls_server_name == "api.internal"

    def test_what_asks_for_nothing_does_no_harm(self) -> None:
        cluster = {"insecure-skip-tls-verify": False, "proxy-url": "", "disable-compression": True, "extensions": []}
        user = {"tokenFile": "", "as-groups": [], "username": ""}
        assert parse_kubeconfig(text(cluster=cluster, user=user)).token == TOKEN

    def test_base64_in_lines(self) -> None:
        data = encoded(authority().certificate)
        folded = "\n".join(data[start : start + 64] for start in range(0, len(data), 64))
        access = parse_kubeconfig(text(cluster={"certificate-authority-data": folded}))
        assert access.ca_data == authority().certificate

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_the_encodings_of_windows(self, encoding: str) -> None:
        assert parse_kubeconfig(text().encode(encoding)).token == TOKEN


class TestContexts:
    def several(self) -> str:
        whole = document()
        whole["users"].append({"name": "cloud", "user": {"exec": {"command": "aws"}}})
        whole["contexts"].append({"name": "east-cloud", "context": {"cluster": "east", "user": "cloud"}})
        return json.dumps(whole)

    def test_all_are_named(self) -> None:
        assert contexts(self.several()) == ["east-ops", "east-cloud"]

    def test_the_current_one_is_the_default(self) -> None:
        assert parse_kubeconfig(self.several()).context == "east-ops"

    def test_only_the_chosen_one_is_judged(self) -> None:
        assert parse_kubeconfig(self.several(), context="east-ops").token == TOKEN
        with pytest.raises(BadInput, match="exec"):
            parse_kubeconfig(self.several(), context="east-cloud")

    def test_the_only_one_needs_no_choice(self) -> None:
        assert parse_kubeconfig(text(**{"current-context": None})).context == "east-ops"

    def test_a_wrong_choice_lists_the_right_ones(self) -> None:
        with pytest.raises(BadInput) as raised:
            parse_kubeconfig(self.several(), context="west")
        assert "west" in raised.value.message
        assert "east-ops, east-cloud" in raised.value.remedy

    def test_a_kubeconfig_without_any(self) -> None:
        with pytest.raises(BadInput, match="no context"):
            contexts("kind: Config")


class TestRefused:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_with_a_sentence_at_the_field(self, name: str) -> None:
        word, make = HOSTILE[name]
        with pytest.raises(BadInput) as raised:
            parse_kubeconfig(make())
        assert word in raised.value.sentence()
        assert raised.value.field == "kubeconfig"
        assert raised.value.message.endswith(".")

    def test_exec_leads_to_the_manifest(self) -> None:
        with pytest.raises(BadInput) as raised:
            parse_kubeconfig(HOSTILE["exec"][1]())
        assert "ServiceAccount manifest" in raised.value.remedy

    def test_no_credential_is_repeated(self) -> None:
        secret = "s3cr3t-s3cr3t"
        broken = [
            f"users: [{{name: a, user: {{token: {secret}",
            f"token: {secret}: : :",
            text(user={"token": f"{secret} with blank"}),
            text(user={"password": secret}),
            text(user={"client-key-data": f"%%{secret}"}),
            f"kind: !!python/{secret} x",
        ]
        for source in broken:
            with pytest.raises(BadInput) as raised:
                parse_kubeconfig(source)
            assert secret not in raised.value.sentence()

    @given(_TREES)
    @settings(max_examples=200, deadline=None)
    @pytest.mark.slow
    def test_nothing_else_gets_out(self, tree: Any) -> None:
        """Whatever the shape, the answer is BadInput or an access."""
        with pytest.raises(BadInput):
            parse_kubeconfig(json.dumps(tree))


class TestSecrets:
    def test_the_text_form_shows_none(self) -> None:
        pair = client()
        access = replace(parse_kubeconfig(text()), client_certificate=pair.certificate, client_key=pair.key)
        shown = f"{access!r} {access}"
        assert TOKEN not in shown
        assert "PRIVATE KEY" not in shown
        assert "CERTIFICATE" not in shown
        assert access.server in shown


@pytest.mark.slow
class TestNothingHappens:
    """S2: hostile kubeconfigs start no process, read no file, connect nowhere; the stock loader does."""

    def probe(self, which: str, tmp_path: Path) -> dict[str, Any]:
        command = [
            sys.executable,
            "-m",
            "tests.unit.console.kube.audit_probe",
            which,
            str(tmp_path / "canary"),
            "59998",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report

    def test_with_our_parser(self, tmp_path: Path) -> None:
        report = self.probe("ours", tmp_path)
        assert report["texts"] >= 40
        assert report["refused"] == report["texts"]
        assert report["tripped"] == []
        assert {kind: report.get(kind, 0) for kind in ("process", "file", "connect")} == {
            "process": 0,
            "file": 0,
            "connect": 0,
        }

    def test_control_the_stock_loader_trips(self, tmp_path: Path) -> None:
        report = self.probe("stock", tmp_path)
        assert len(report["tripped"]) >= 3
        assert report.get("process", 0) >= 1
        assert report.get("file", 0) >= 1
