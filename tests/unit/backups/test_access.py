"""The account people are offered for the console: its rights, and commands that end in a kubeconfig we take."""

from __future__ import annotations

import base64
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from backups.actions.access import access_manifest
from backups.velero.rights import needs
from backups.views.connection import access_help
from console.kube.facts import ResourceNeed
from console.kube.kubeconfig import parse_kubeconfig
from tests.fakes.pki import Authority

NAMESPACE = "backup-system"
TOKEN = "a-token"


def documents() -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(access_manifest(NAMESPACE))}


def granted(role: dict[str, Any]) -> list[ResourceNeed]:
    namespace = role["metadata"].get("namespace", "")
    return [
        ResourceNeed(verb, resource, group, namespace)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_it_grants_what_the_console_needs_and_nothing_else() -> None:
    found = documents()
    rights = granted(found["Role"]) + granted(found["ClusterRole"])
    assert sorted(map(str, rights)) == sorted(map(str, needs(NAMESPACE)))
    assert set(rights) == set(needs(NAMESPACE))
    assert "*" not in access_manifest(NAMESPACE)


@pytest.mark.parametrize(("kind", "role"), [("RoleBinding", "Role"), ("ClusterRoleBinding", "ClusterRole")])
def test_the_roles_are_bound_to_the_account(kind: str, role: str) -> None:
    found = documents()
    assert found[kind]["roleRef"]["kind"] == role
    assert found[kind]["roleRef"]["name"] == found[role]["metadata"]["name"]
    account = found["ServiceAccount"]["metadata"]
    assert found[kind]["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]


def test_no_part_of_it_goes_into_a_backup() -> None:
    for document in documents().values():
        assert document["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"
    secret = yaml.safe_load(access_help(NAMESPACE)["token"].split("<<END\n")[1].split("\nEND")[0])
    assert secret["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == "drydock"


def test_deleting_it_does_not_delete_veleros_namespace() -> None:
    assert "Namespace" not in documents()


KUBECTL = """#!/bin/bash
case "$*" in
  "apply -f -") cat > applied.yaml ;;
  *"get secret drydock-token --namespace backup-system"*) [ -e asked ] && printf '%s' '{token64}'; touch asked ;;
  *"create token drydock --namespace backup-system"*) printf '%s' '{token}' ;;
  *"clusters[0].cluster.server"*) printf '%s' 'https://203.0.113.7:6443' ;;
  *"certificate-authority-data"*) printf '%s' '{ca}' ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["token", "ending_token"])
@pytest.mark.parametrize("with_ca", [True, False])
def test_the_commands_end_in_a_kubeconfig_the_console_takes(way: str, with_ca: bool, tmp_path: Path) -> None:
    ca = base64.b64encode(Authority().certificate).decode() if with_ca else ""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        KUBECTL.replace("{token64}", base64.b64encode(TOKEN.encode()).decode())
        .replace("{token}", TOKEN)
        .replace("{ca}", ca)
    )
    kubectl.chmod(0o755)
    texts = access_help(NAMESPACE)
    script = f"set -eu\n{texts[way]}\n{texts['kubeconfig']}"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=30)
    written = tmp_path / "drydock.kubeconfig"
    access = parse_kubeconfig(written.read_text())
    assert (access.server, access.token) == ("https://203.0.113.7:6443", TOKEN)
    assert (access.ca_data is not None) is with_ca
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
