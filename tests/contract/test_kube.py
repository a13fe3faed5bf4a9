"""The same cases against the fake API server and the real one: what the console relies on, and that it is true."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
import yaml

from console.kube import facts
from console.kube.connection import Connection
from console.kube.errors import Expired
from console.kube.facts import ResourceNeed
from console.kube.paths import core, custom
from console.lib.errors import (
    AlreadyThere,
    Changed,
    Missing,
    NotPermitted,
    Refused,
    SignInRefused,
    Unreachable,
)
from tests.contract import realkube
from tests.contract.conftest import Target
from tests.fakes.apiserver_rules import bare_schema
from tests.fakes.pki import Authority

pytestmark = pytest.mark.slow


def backup(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name}, "spec": spec}


class TestObjects:
    def test_a_created_object_can_be_read(self, target: Target, connection: Connection) -> None:
        created = connection.create(target.backups(), backup("a", ttl="1h0m0s"))
        read = connection.get(target.backups("a"))
        assert read == created
        assert read["spec"] == {"ttl": "1h0m0s"}
        assert read["metadata"]["namespace"] == target.namespace
        assert {"uid", "resourceVersion", "creationTimestamp", "generation"} <= set(read["metadata"])

    def test_a_second_one_of_that_name_is_already_there(self, target: Target, connection: Connection) -> None:
        connection.create(target.backups(), backup("a"))
        with pytest.raises(AlreadyThere, match=r'backups.velero.io "a" already exists'):
            connection.create(target.backups(), backup("a"))

    def test_what_is_not_there_is_missing(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Missing, match=r'backups.velero.io "nope" not found'):
            connection.get(target.backups("nope"))

    def test_a_kind_that_is_not_served_is_missing(self, connection: Connection) -> None:
        with pytest.raises(Missing):
            connection.get(custom("nobody.example", "v1", "things"))

    def test_an_object_for_a_missing_namespace_is_missing(self, connection: Connection) -> None:
        with pytest.raises(Missing, match=r'namespaces "no-such" not found'):
            connection.create(custom("velero.io", "v1", "backups", "no-such"), backup("a"))

    def test_a_generated_name_keeps_its_head(self, target: Target, connection: Connection) -> None:
        body = backup("") | {"metadata": {"generateName": "nightly-"}}
        name = connection.create(target.backups(), body)["metadata"]["name"]
        assert name.startswith("nightly-")
        assert len(name) == len("nightly-") + 5

    def test_fields_the_schema_does_not_know_are_dropped(self, target: Target, connection: Connection) -> None:
        created = connection.create(target.backups(), backup("a", ttl="1h0m0s", madeUp=1))
        assert created["spec"] == {"ttl": "1h0m0s"}

    def test_a_secret_can_be_given_as_text(self, target: Target, connection: Connection) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
        created = connection.create(core("secrets", target.namespace), body)
        assert created["data"] == {"a": "Yg=="}
        assert "stringData" not in created


class TestRefusals:
    def test_a_field_of_the_wrong_type(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"spec.ttl in body must be of type string"):
            connection.create(target.backups(), backup("a", ttl=5))

    def test_a_list_that_is_none(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"spec.includedNamespaces in body must be of type array"):
            connection.create(target.backups(), backup("a", includedNamespaces="x"))

    def test_a_phase_velero_does_not_know(self, target: Target, connection: Connection) -> None:
        connection.create(target.backups(), backup("a"))
        with pytest.raises(Refused, match=r'status.phase: Unsupported value: "Weird"'):
            connection.merge_patch(target.backups("a"), {"status": {"phase": "Weird"}})

    def test_a_name_that_is_too_long(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"Backup.velero.io"):
            connection.create(target.backups(), backup("a" * 254))
        assert connection.create(target.backups(), backup("a" * 253))["metadata"]["name"] == "a" * 253

    def test_a_name_with_capitals(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"lowercase RFC 1123 subdomain"):
            connection.create(target.backups(), backup("Nightly"))

    def test_a_label_that_is_too_long(self, target: Target, connection: Connection) -> None:
        body = backup("a")
        body["metadata"]["labels"] = {"x": "y" * 64}
        with pytest.raises(Refused, match=r"must be no more than 63"):
            connection.create(target.backups(), body)

    def test_another_kind_than_the_path_says(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"must be Backup"):
            connection.create(target.backups(), backup("a") | {"kind": "Restore"})

    def test_another_namespace_than_the_path_says(self, target: Target, connection: Connection) -> None:
        body = backup("a")
        body["metadata"]["namespace"] = "elsewhere"
        with pytest.raises(Refused, match=r"namespace of the provided object does not match"):
            connection.create(target.backups(), body)

    def test_a_secret_that_is_not_base64(self, target: Target, connection: Connection) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "!!"}}
        with pytest.raises(Refused, match=r"illegal base64"):
            connection.create(core("secrets", target.namespace), body)


class TestLists:
    def test_pages_give_every_object_once(self, target: Target, connection: Connection) -> None:
        names = [f"b{number:02}" for number in range(25)]
        for name in names:
            connection.create(target.backups(), backup(name))
        first = connection.list_page(target.backups(), limit=10)
        assert [item["metadata"]["name"] for item in first["items"]] == names[:10]
        assert first["metadata"]["remainingItemCount"] == 15
        assert [item["metadata"]["name"] for item in connection.list(target.backups(), limit=10)] == names

    def test_an_empty_collection(self, target: Target, connection: Connection) -> None:
        assert list(connection.list(target.backups())) == []

    def test_labels_and_names_select(self, target: Target, connection: Connection) -> None:
        for number in range(3):
            body = backup(f"b{number}")
            body["metadata"]["labels"] = {"n": str(number)}
            connection.create(target.backups(), body)

        def chosen(**params: Any) -> list[str]:
            return [item["metadata"]["name"] for item in connection.list(target.backups(), **params)]

        assert chosen(labelSelector="n=1") == ["b1"]
        assert chosen(labelSelector="n in (0,2)") == ["b0", "b2"]
        assert chosen(labelSelector="n,n!=1") == ["b0", "b2"]
        assert chosen(labelSelector="!n") == []
        assert chosen(fieldSelector="metadata.name=b2") == ["b2"]

    def test_fields_of_custom_resources_do_not_select(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"field label not supported"):
            list(connection.list(target.backups(), fieldSelector="status.phase=New"))

    def test_a_made_up_token_is_refused(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"continue"):
            connection.list_page(target.backups(), token="garbage")

    def test_other_namespaces_are_not_in_it(self, target: Target, connection: Connection) -> None:
        connection.create(target.backups(), backup("a"))
        everywhere = list(connection.list(custom("velero.io", "v1", "backups")))
        assert target.namespace in {item["metadata"]["namespace"] for item in everywhere}
        assert list(connection.list(custom("velero.io", "v1", "backups", "default"))) == []


class TestChanges:
    def test_a_merge_patch_changes_what_it_names(self, target: Target, connection: Connection) -> None:
        created = connection.create(target.backups(), backup("a", ttl="1h0m0s", storageLocation="x"))
        patched = connection.merge_patch(target.backups("a"), {"spec": {"ttl": "2h0m0s", "storageLocation": None}})
        assert patched["spec"] == {"ttl": "2h0m0s"}
        assert patched["metadata"]["uid"] == created["metadata"]["uid"]
        assert patched["metadata"]["generation"] == 2
        assert int(patched["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])

    def test_a_patch_that_changes_nothing_makes_no_version(self, target: Target, connection: Connection) -> None:
        created = connection.create(target.backups(), backup("a", ttl="1h0m0s"))
        patched = connection.merge_patch(target.backups("a"), {"spec": {"ttl": "1h0m0s"}})
        assert patched["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]

    def test_a_patch_for_an_older_version_is_a_conflict(self, target: Target, connection: Connection) -> None:
        created = connection.create(target.backups(), backup("a"))
        connection.merge_patch(target.backups("a"), {"spec": {"ttl": "2h0m0s"}})
        version = created["metadata"]["resourceVersion"]
        with pytest.raises(Changed, match=r"the object has been modified"):
            connection.merge_patch(
                target.backups("a"), {"metadata": {"resourceVersion": version}, "spec": {"ttl": "3h"}}
            )

    def test_a_patch_of_nothing_is_missing(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Missing):
            connection.merge_patch(target.backups("nope"), {"spec": {"ttl": "2h0m0s"}})

    def test_apply_creates_then_updates_and_removes(self, target: Target, connection: Connection) -> None:
        connection.apply(target.backups("a"), backup("a", ttl="1h0m0s", storageLocation="x"))
        connection.merge_patch(target.backups("a"), {"spec": {"snapshotVolumes": True}})
        applied = connection.apply(target.backups("a"), backup("a", ttl="2h0m0s"))
        assert applied["spec"] == {"ttl": "2h0m0s", "snapshotVolumes": True}

    def test_apply_refuses_a_field_the_schema_does_not_know(self, target: Target, connection: Connection) -> None:
        with pytest.raises(Refused, match=r"field not declared in schema"):
            connection.apply(target.backups("a"), backup("a", madeUp=1))

    def test_delete_only_the_very_object(self, target: Target, connection: Connection) -> None:
        uid = connection.create(target.backups(), backup("a"))["metadata"]["uid"]
        with pytest.raises(Changed, match=r"UID in the precondition"):
            connection.delete(target.backups("a"), uid="00000000-0000-0000-0000-000000000000")
        connection.delete(target.backups("a"), uid=uid)
        with pytest.raises(Missing):
            connection.delete(target.backups("a"))

    def test_an_object_with_a_finalizer_stays_until_it_is_removed(self, target: Target, connection: Connection) -> None:
        body = backup("a")
        body["metadata"]["finalizers"] = ["drydock.test/hold"]
        connection.create(target.backups(), body)
        connection.delete(target.backups("a"))
        assert connection.get(target.backups("a"))["metadata"]["deletionTimestamp"]
        connection.merge_patch(target.backups("a"), {"metadata": {"finalizers": None}})
        with pytest.raises(Missing):
            connection.get(target.backups("a"))


class TestIdentity:
    def test_a_wrong_token_is_refused(self, target: Target) -> None:
        stranger = replace(target.admin, token="not-the-token")
        with target.connect(stranger) as connection, pytest.raises(SignInRefused) as raised:
            connection.get(core("namespaces", None, "default"))
        assert "not-the-token" not in raised.value.sentence()

    def test_no_right_names_verb_and_resource(self, target: Target) -> None:
        with target.connect(target.limited) as bob:
            with pytest.raises(
                NotPermitted, match=r'User "bob" cannot create resource "backups" in API group "velero.io"'
            ):
                bob.create(target.backups(), backup("a"))
            with pytest.raises(
                NotPermitted, match=r'secrets "x" is forbidden: User "bob" cannot get resource "secrets"'
            ):
                bob.get(core("secrets", target.namespace, "x"))
            with pytest.raises(NotPermitted, match=r"nodes is forbidden.*at the cluster scope"):
                list(bob.list(core("nodes")))

    def test_without_credentials_one_is_nobody(self, target: Target) -> None:
        nobody = replace(target.admin, token="")
        with target.connect(nobody) as connection, pytest.raises(NotPermitted, match=r'"system:anonymous"'):
            connection.get(target.backups("a"))

    def test_a_certificate_from_memory_signs_in(self, target: Target) -> None:
        with target.connect(target.by_certificate) as carol:
            identity = facts.who_am_i(carol)
        assert identity is not None
        assert identity.name == "carol"
        assert "contract" in identity.groups

    def test_an_unknown_ca_is_named(self, target: Target) -> None:
        stranger = replace(target.admin, ca_data=Authority("somebody-else").certificate)
        with target.connect(stranger) as connection, pytest.raises(Unreachable, match=r"not signed by a CA"):
            connection.get("/version")

    def test_a_certificate_for_another_name_is_named(self, target: Target) -> None:
        other_name = replace(target.admin, tls_server_name="elsewhere.example")
        with target.connect(other_name) as connection, pytest.raises(Unreachable, match=r"made for another name"):
            connection.get("/version")

    def test_who_am_i_and_what_may_i(self, target: Target, connection: Connection) -> None:
        identity = facts.who_am_i(connection)
        assert identity is not None
        assert identity.name == "admin"
        need = ResourceNeed("create", "backups", "velero.io", target.namespace)
        assert [verdict.allowed for verdict in facts.may_i(connection, [need, ResourceNeed("get", "nodes")])] == [
            True
        ] * 2
        with target.connect(target.limited) as bob:
            assert not facts.may_i(bob, [need])[0].allowed


class TestFacts:
    def test_version_and_uid(self, connection: Connection) -> None:
        version = facts.server_version(connection)
        assert (version.major, version.minor) == (1, 36)
        assert version.text.startswith("v1.36.")
        assert len(facts.cluster_uid(connection)) == 36

    def test_storage_classes(self, target: Target, connection: Connection) -> None:
        name = f"{target.namespace}-fast"
        marks = {"storageclass.kubernetes.io/is-default-class": "true"}
        body = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name, "annotations": marks},
            "provisioner": "disks.example",
            "reclaimPolicy": "Retain",
        }
        connection.create(custom("storage.k8s.io", "v1", "storageclasses"), body)
        found = {storage_class.name: storage_class for storage_class in facts.storage_classes(connection)}
        assert found[name] == facts.StorageClass(name, "disks.example", True, "Retain")

    def test_snapshot_classes_without_their_crds(self, target: Target, connection: Connection) -> None:
        if target.fake is not None:
            target.fake.remove_group("snapshot.storage.k8s.io")
        assert facts.snapshot_classes(connection) == ()
        if target.fake is not None:
            target.fake.restore_groups()

    def test_namespaces(self, target: Target, connection: Connection) -> None:
        found = {namespace.name: namespace for namespace in facts.namespaces(connection)}
        assert found["kube-system"].phase == "Active"
        assert found[target.namespace].labels == {"kubernetes.io/metadata.name": target.namespace}

    def test_the_cloud_that_nodes_name(self, target: Target, connection: Connection) -> None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": target.namespace},
            "spec": {"providerID": "aws:///eu-west-1a/i-1"},
        }
        assert facts.cloud_provider(connection) == ""
        connection.create(core("nodes"), node)
        assert facts.cloud_provider(connection) == "aws"
        connection.delete(core("nodes", None, target.namespace))


def test_a_list_token_that_expired_is_told_as_expired(fake_cluster: Any) -> None:
    """Against the fake alone: the real one forgets after five minutes."""
    from console.kube.connection import connect
    from tests.contract.conftest import POLICY

    for number in range(4):
        fake_cluster.put("backups", {"metadata": {"name": f"t{number}", "namespace": "velero"}})
    path = custom("velero.io", "v1", "backups", "velero")
    with connect(fake_cluster.access(), POLICY) as connection:
        page = connection.list_page(path, limit=2)
        fake_cluster.store.compact()
        with pytest.raises(Expired):
            connection.list_page(path, limit=2, token=page["metadata"]["continue"])


@pytest.mark.sandbox
def test_the_fake_judges_by_velero_s_own_schemas() -> None:
    """Velero's CRDs of the sandbox's version against the file; after a new version, write what this prints."""
    binaries = realkube.find_binaries()
    assert binaries is not None
    command = [str(binaries / "velero"), "install", "--crds-only", "--dry-run", "-o", "yaml"]
    rendered = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    crds = yaml.load(rendered, Loader=yaml.CSafeLoader)["items"]
    real = {
        crd["metadata"]["name"]: bare_schema(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) for crd in crds
    }
    from tests.fakes.apiserver_rules import _schemas

    assert json.loads(json.dumps(real)) == _schemas(), json.dumps(real, indent=0, sort_keys=True)
