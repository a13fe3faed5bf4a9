"""Paths that cannot be led astray, and facts from clusters that answer oddly."""

from __future__ import annotations

from typing import Any

import pytest

from console.kube import facts
from console.kube.connection import Connection
from console.kube.facts import ResourceNeed
from console.kube.paths import core, custom
from console.lib.errors import BadInput, NotPermitted, Refused, TryLater
from tests.fakes.apiserver import ADMIN_TOKEN, Cluster, Fault, Right, User


class TestPaths:
    def test_collections_and_objects(self) -> None:
        assert core("namespaces") == "/api/v1/namespaces"
        assert core("namespaces", None, "a") == "/api/v1/namespaces/a"
        assert core("secrets", "velero", "x") == "/api/v1/namespaces/velero/secrets/x"
        assert custom("velero.io", "v1", "backups") == "/apis/velero.io/v1/backups"
        assert custom("velero.io", "v1", "backups", "velero", "b") == "/apis/velero.io/v1/namespaces/velero/backups/b"

    def test_a_name_stays_one_part(self) -> None:
        name = "../secrets/x?watch=1#a b%2f"
        path = core("configmaps", "velero", name)
        assert path.count("/") == 6
        assert path.endswith("/..%2Fsecrets%2Fx%3Fwatch%3D1%23a%20b%252f")

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_no_name_becomes_another_path(self, name: str) -> None:
        with pytest.raises(BadInput):
            core("secrets", "velero", name)
        with pytest.raises(BadInput):
            core("secrets", name)

    def test_it_arrives_as_it_was_given(self, cluster: Cluster, connection: Connection) -> None:
        odd = "a/b c?d=e&f#g%h"
        cluster.put("configmaps", {"metadata": {"name": odd, "namespace": "velero"}})
        assert connection.get(core("configmaps", "velero", odd))["metadata"]["name"] == odd


class TestFacts:
    @pytest.mark.parametrize(
        ("answer", "numbers"),
        [
            ({"gitVersion": "v1.27.4-eks-1", "major": "1", "minor": "27+"}, (1, 27)),
            ({"gitVersion": None, "major": 1, "minor": {}}, (1, 0)),
            ({}, (0, 0)),
        ],
    )
    def test_versions_of_distributions(
        self, answer: dict[str, Any], numbers: tuple[int, int], cluster: Cluster, connection: Connection
    ) -> None:
        cluster.version = answer
        version = facts.server_version(connection)
        assert (version.major, version.minor) == numbers

    def test_a_cluster_without_uid_is_refused(self, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "get", lambda path: {"metadata": {"uid": 7}})
        with pytest.raises(Refused, match="no uid"):
            facts.cluster_uid(connection)

    def test_rights_are_asked_one_by_one(self, cluster: Cluster, connection: Connection) -> None:
        def allows(right: Right) -> bool:
            return right.group == "velero.io" or right.verb == "get"

        cluster.users[ADMIN_TOKEN] = User("ops", (), allows)
        needs = [
            ResourceNeed("create", "backups", "velero.io", "velero"),
            ResourceNeed("create", "secrets", "", "velero"),
            ResourceNeed("get", "pods", subresource="log"),
        ]
        verdicts = facts.may_i(connection, needs)
        assert [verdict.allowed for verdict in verdicts] == [True, False, True]
        assert [str(verdict.need) for verdict in verdicts] == [
            "create backups.velero.io in velero",
            "create secrets in velero",
            "get pods/log",
        ]

    def test_an_old_api_cannot_tell_who_we_are(self, connection: Connection, cluster: Cluster) -> None:
        cluster.server.add_faults(Fault("status", "POST", "selfsubjectreviews", status=404, reason="NotFound"))
        assert facts.who_am_i(connection) is None

    def test_a_lost_answer_to_a_review_may_be_asked_again(self, connection: Connection, cluster: Cluster) -> None:
        cluster.server.add_faults(Fault("reset_after", "POST"))
        with pytest.raises(TryLater):
            facts.may_i(connection, [ResourceNeed("get", "pods")])

    def test_snapshot_classes(self, cluster: Cluster, connection: Connection) -> None:
        label = {"velero.io/csi-volumesnapshot-class": "true"}
        cluster.put("volumesnapshotclasses", {"metadata": {"name": "fast", "labels": label}, "driver": "disks.example"})
        assert facts.snapshot_classes(connection) == (facts.SnapshotClass("fast", "disks.example", False, label),)
        cluster.remove_group("snapshot.storage.k8s.io")
        assert facts.snapshot_classes(connection) == ()

    @pytest.mark.parametrize(
        ("nodes", "cloud"),
        [
            ([], ""),
            ([{"spec": {"providerID": "gce://p/z/i"}}], "gce"),
            ([{"spec": {"providerID": "azure:///x"}}, {}, {"spec": None}], "azure"),
            ([{"metadata": {"labels": {"eks.amazonaws.com/nodegroup": "a"}}}], "aws"),
            ([{"spec": {"providerID": "kind://x"}}] * 2 + [{"spec": {"providerID": "aws:///y"}}], "kind"),
            ([{"spec": {"providerID": 5}}], ""),
        ],
    )
    def test_the_cloud_most_nodes_name(
        self, nodes: list[dict[str, Any]], cloud: str, cluster: Cluster, connection: Connection
    ) -> None:
        for number, node in enumerate(nodes):
            metadata = (node.get("metadata") or {}) | {"name": f"n{number}"}
            cluster.put("nodes", node | {"metadata": metadata})
        assert facts.cloud_provider(connection) == cloud

    def test_nodes_that_may_not_be_seen(self, cluster: Cluster, connection: Connection) -> None:
        cluster.users[ADMIN_TOKEN] = User("ops", (), lambda right: right.resource != "nodes")
        assert facts.cloud_provider(connection) == ""
        with pytest.raises(NotPermitted):
            list(connection.list(core("nodes")))

    def test_odd_objects(self, cluster: Cluster, connection: Connection) -> None:
        cluster.put("storageclasses", {"metadata": {"name": "odd", "annotations": None}, "provisioner": 3})
        cluster.put("namespaces", {"metadata": {"name": "odd", "uid": "u"}, "status": "gone"})
        assert facts.storage_classes(connection) == (facts.StorageClass("odd", "", False, ""),)
        assert facts.Namespace("odd", "", {"kubernetes.io/metadata.name": "odd"}, "u") in facts.namespaces(connection)
