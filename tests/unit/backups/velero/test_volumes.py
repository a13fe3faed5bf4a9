"""What becomes of each volume, case by case, as Velero's own source decides it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backups.velero.backup import BackupRequest, DiskMethod, backup_spec
from backups.velero.inventory import Inventory, Settings
from backups.velero.volumes import COUNTS_AS_ERROR, Method, Plan, Verdict, foretell

Json = dict[str, Any]
SERVED = Settings(csi=True, snapshot_locations={})
PLAIN = Settings(snapshot_locations={})
EBS = {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}}
SHOP_CSI = {"csi": {"driver": "csi.shop", "volumeHandle": "v"}}
OPTED_IN = {"backup.velero.io/backup-volumes": "data"}
OPTED_OUT = {"backup.velero.io/backup-volumes-excludes": "data"}
EXCLUDED = {"velero.io/exclude-from-backup": "true"}


def claim(name: str = "orders", namespace: str = "shop", **more: Any) -> Json:
    spec = {"volumeName": f"pv-{name}", "storageClassName": "fast", "resources": {"requests": {"storage": "5Gi"}}}
    meta = {"name": name, "namespace": namespace, **more.get("meta", {})}
    status = {"phase": "Bound", "capacity": {"storage": "8Gi"}}
    return {"metadata": meta, "spec": spec | more.get("spec", {}), "status": more.get("status", status)}


def volume(source: Json, name: str = "orders", **meta: Any) -> Json:
    return {"metadata": {"name": f"pv-{name}", **meta}, "spec": source}


def pod(name: str = "web-0", *, annotations: Json | None = None, labels: Json | None = None, **more: Any) -> Json:
    """A running pod on node-1 that mounts the claim `orders` as its volume `data`."""
    container = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]} | more.get("container", {})
    return {
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations or {}, "labels": labels or {}},
        "spec": {
            "nodeName": "node-1",
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "orders"}}, {"name": "tmp"}],
        },
        "status": {"phase": more.get("phase", "Running")},
    }


def snapshot_class(name: str, driver: str = "csi.shop", **meta: Any) -> Json:
    return {"metadata": {"name": name, **meta}, "driver": driver}


def location(provider: str, name: str = "here") -> Json:
    return {"metadata": {"name": name}, "spec": {"provider": provider}}


def cluster(source: Json | None = None, **more: Any) -> Inventory:
    """A cluster with one claim, of a CSI volume unless `source` says otherwise, and all it takes to snapshot it."""
    values: dict[str, Any] = {
        "claims": (claim(),),
        "volumes": {"pv-orders": volume(source or SHOP_CSI)},
        "classes": {"fast": {"provisioner": "csi.shop"}},
        "snapshot_classes": (snapshot_class("labelled", labels={"velero.io/csi-volumesnapshot-class": "true"}),),
        "agents": frozenset({"node-1"}),
        "settings": SERVED,
        "unseen": {},
    }
    return Inventory(**values | more)


def spec(**more: Any) -> Json:
    wanted: dict[str, Any] = {"include_disks": True, "included_namespaces": ()}
    return backup_spec(
        BackupRequest(name="b", namespace="velero", storage_location="l", ttl=timedelta(days=1), **wanted | more)
    )


def plan(inventory: Inventory, **more: Any) -> Plan:
    return foretell(spec(**more), inventory)


def verdict(inventory: Inventory, **more: Any) -> Verdict:
    (only,) = plan(inventory, **more).claims
    return only.verdict


class TestCsi:
    def test_a_labelled_snapshot_class(self) -> None:
        assert verdict(cluster()) == Verdict(Method.CSI_SNAPSHOT, "Snapshot class labelled.")

    @pytest.mark.parametrize(
        ("classes", "taken"),
        [
            ([snapshot_class("only")], "only"),
            ([snapshot_class("a"), snapshot_class("b")], None),
            ([snapshot_class("a"), snapshot_class("b", labels={"velero.io/csi-volumesnapshot-class": "no"})], "b"),
            (
                [
                    snapshot_class("a"),
                    snapshot_class("b", annotations={"snapshot.storage.kubernetes.io/is-default-class": "true"}),
                ],
                "b",
            ),
            ([snapshot_class("other", driver="csi.other")], None),
            ([], None),
        ],
        ids=["the only one", "two unmarked", "label with any value", "default annotation", "another driver's", "none"],
    )
    def test_which_class_is_taken(self, classes: list[Json], taken: str | None) -> None:
        found = verdict(cluster(snapshot_classes=tuple(classes)))
        if taken:
            assert found == Verdict(Method.CSI_SNAPSHOT, f"Snapshot class {taken}.")
        else:
            assert found.method == Method.NOT_SAVED and COUNTS_AS_ERROR in found.remedy

    def test_the_claims_own_annotation_goes_first(self) -> None:
        wanted = claim(meta={"annotations": {"velero.io/csi-volumesnapshot-class": "MINE"}})
        two = (
            snapshot_class("labelled", labels={"velero.io/csi-volumesnapshot-class": "true"}),
            snapshot_class("mine"),
        )
        assert verdict(cluster(claims=(wanted,), snapshot_classes=two)).reason == "Snapshot class mine."

    def test_an_annotation_for_another_driver_does_not_count(self) -> None:
        wanted = claim(meta={"annotations": {"velero.io/csi-volumesnapshot-class": "alien"}})
        two = (snapshot_class("alien", driver="csi.other"), snapshot_class("only"))
        assert verdict(cluster(claims=(wanted,), snapshot_classes=two)).reason == "Snapshot class only."

    @pytest.mark.parametrize("name", [None, "", "gone"])
    def test_without_its_storage_class_velero_fails(self, name: str | None) -> None:
        found = verdict(cluster(claims=(claim(spec={"storageClassName": name}),)))
        assert (found.method, found.remedy) == (Method.NOT_SAVED, COUNTS_AS_ERROR)

    def test_without_the_feature_there_are_none(self) -> None:
        found = verdict(cluster(settings=PLAIN))
        assert found.method == Method.NOT_SAVED and "--features=EnableCSI" in found.remedy

    def test_cluster_resources_do_not_matter(self) -> None:
        assert verdict(cluster(), include_cluster_resources=False).method == Method.CSI_SNAPSHOT


class TestDataMover:
    def test_the_servers_default_moves_the_data(self) -> None:
        moving = cluster(settings=replace(SERVED, move_data=True))
        assert verdict(moving).method == Method.DATA_MOVER

    def test_the_spec_says_so(self) -> None:
        assert verdict(cluster(), disk_method=DiskMethod.DATA_MOVER).method == Method.DATA_MOVER

    def test_it_takes_a_node_agent(self) -> None:
        found = verdict(cluster(agents=frozenset()), disk_method=DiskMethod.DATA_MOVER)
        assert found.method == Method.NOT_SAVED and "--use-node-agent" in found.remedy


class TestFiles:
    def test_a_pod_that_asks_for_it_goes_before_the_snapshot(self) -> None:
        assert verdict(cluster(pods=(pod(annotations=OPTED_IN),))) == Verdict(Method.FILES, "The pod web-0 mounts it.")

    def test_a_pod_that_asks_for_another_volume_does_not(self) -> None:
        other = pod(annotations={"backup.velero.io/backup-volumes": "tmp,logs"})
        assert verdict(cluster(pods=(other,))).method == Method.CSI_SNAPSHOT

    def test_a_pod_of_another_namespace_does_not(self) -> None:
        elsewhere = pod(annotations=OPTED_IN)
        elsewhere["metadata"]["namespace"] = "other"
        assert verdict(cluster(pods=(elsewhere,))).method == Method.CSI_SNAPSHOT

    def test_by_default_of_the_server(self) -> None:
        by_default = replace(SERVED, files_by_default=True)
        assert verdict(cluster(pods=(pod(),), settings=by_default)).method == Method.FILES
        assert verdict(cluster(pods=(pod(annotations=OPTED_OUT),), settings=by_default)).method == Method.CSI_SNAPSHOT
        assert verdict(cluster(settings=by_default)).method == Method.CSI_SNAPSHOT

    def test_an_opt_out_means_nothing_where_nothing_is_by_default(self) -> None:
        assert verdict(cluster(pods=(pod(annotations=OPTED_IN | OPTED_OUT),))).method == Method.FILES

    def test_even_without_disks(self) -> None:
        """Pod annotations are honoured all the same (velero.md §3)."""
        asked = cluster(pods=(pod(annotations=OPTED_IN),))
        assert verdict(asked, include_disks=False).method == Method.FILES

    def test_without_disks_the_servers_default_is_overruled(self) -> None:
        by_default = cluster(pods=(pod(),), settings=replace(SERVED, files_by_default=True))
        assert verdict(by_default, include_disks=False).method == Method.NOT_SAVED

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (pod(annotations=OPTED_IN, phase="Pending"), "does not run"),
            (pod(annotations=OPTED_IN, phase="Succeeded"), "does not run"),
            (pod(annotations=OPTED_IN, labels=EXCLUDED), "left out by a label"),
            (pod(annotations=OPTED_IN, container={"volumeMounts": []}), "does not mount it"),
            (pod(annotations=OPTED_IN, container={"volumeDevices": [{"name": "data"}]}), "does not mount it"),
        ],
        ids=["pending", "ended", "excluded", "not mounted", "block device"],
    )
    def test_what_keeps_a_pod_from_it_keeps_the_snapshot_away_as_well(self, asked: Json, said: str) -> None:
        found = verdict(cluster(pods=(asked,)))
        assert found.method == Method.NOT_SAVED and said in found.reason

    def test_another_pod_may_do_it(self) -> None:
        both = (pod("first", annotations=OPTED_IN, phase="Pending"), pod("second", annotations=OPTED_IN))
        assert verdict(cluster(pods=both)).reason == "The pod second mounts it."

    def test_no_node_agent_on_its_node(self) -> None:
        found = verdict(cluster(pods=(pod(annotations=OPTED_IN),), agents=frozenset({"node-2"})))
        assert found.method == Method.NOT_SAVED and "node-1" in found.reason

    def test_never_a_host_path(self) -> None:
        found = verdict(cluster({"hostPath": {"path": "/x"}}, pods=(pod(annotations=OPTED_IN),)))
        assert found.method == Method.NOT_SAVED and "hostPath" in found.reason


class TestProvider:
    @pytest.mark.parametrize(
        ("source", "provider"),
        [
            ({"awsElasticBlockStore": {"volumeID": "vol-1"}}, "aws"),
            (EBS, "velero.io/aws"),
            ({"gcePersistentDisk": {"pdName": "d"}}, "velero.io/gcp"),
            ({"csi": {"driver": "pd.csi.storage.gke.io"}}, "gcp"),
            ({"azureDisk": {"diskName": "d"}}, "azure"),
        ],
    )
    def test_the_plugin_that_knows_the_kind(self, source: Json, provider: str) -> None:
        found = verdict(cluster(source, settings=PLAIN, snapshot_locations=(location(provider),)))
        assert found == Verdict(Method.PROVIDER_SNAPSHOT, "Snapshot location here.")

    def test_with_the_feature_csi_volumes_are_not_the_plugins(self) -> None:
        assert verdict(cluster(EBS, snapshot_locations=(location("aws"),))).method == Method.CSI_SNAPSHOT

    def test_another_clouds_location_does_not_help(self) -> None:
        found = verdict(cluster({"awsElasticBlockStore": {}}, snapshot_locations=(location("gcp"),)))
        assert found.method == Method.NOT_SAVED and "provider aws" in found.remedy

    def test_a_plugin_nobody_knows_may_or_may_not(self) -> None:
        found = verdict(cluster({"cinder": {}}, snapshot_locations=(location("example.com/cinder"),)))
        assert found.method == Method.UNKNOWN and "example.com/cinder" in found.reason

    @pytest.mark.parametrize(("kind", "advised"), [("nfs", True), ("local", True), ("hostPath", False)])
    def test_kinds_without_snapshots(self, kind: str, advised: bool) -> None:
        found = verdict(cluster({kind: {}}))
        assert found.method == Method.NOT_SAVED and kind in found.reason
        assert ("annotate its pod" in found.remedy) == advised

    def test_volumes_are_cluster_resources(self) -> None:
        held = cluster({"awsElasticBlockStore": {}}, snapshot_locations=(location("aws"),))
        assert verdict(held, include_cluster_resources=False).method == Method.NOT_SAVED
        assert verdict(held, include_cluster_resources=None).method == Method.PROVIDER_SNAPSHOT

    def test_a_volume_that_is_left_out(self) -> None:
        left = {"pv-orders": volume({"awsElasticBlockStore": {}}, labels=EXCLUDED)}
        found = verdict(cluster(volumes=left, snapshot_locations=(location("aws"),)))
        assert found.method == Method.NOT_SAVED


class TestNothingToSave:
    def test_a_claim_that_is_left_out(self) -> None:
        assert "label" in verdict(cluster(claims=(claim(meta={"labels": EXCLUDED}),))).reason

    @pytest.mark.parametrize(
        "more", [{"spec": {"volumeName": ""}}, {"status": {"phase": "Pending"}}, {"status": {"phase": "Lost"}}]
    )
    def test_a_claim_without_volume_is_an_error_with_csi_alone(self, more: Json) -> None:
        unbound = (claim(**more),)
        assert verdict(cluster(claims=unbound)).remedy == COUNTS_AS_ERROR
        assert verdict(cluster(claims=unbound, settings=PLAIN)).remedy == ""
        assert verdict(cluster(claims=unbound)).method == Method.NOT_SAVED

    def test_a_volume_that_is_gone(self) -> None:
        assert verdict(cluster(volumes={})).method == Method.NOT_SAVED

    def test_disks_that_are_not_included(self) -> None:
        assert verdict(cluster(), include_disks=False).reason == "Disks are not included in this backup."


class TestUnknown:
    @pytest.mark.parametrize(
        ("unseen", "more"),
        [
            ("pods", {}),
            ("persistentvolumes", {"volumes": {}}),
            ("storageclasses", {}),
            ("volumesnapshotclasses", {}),
            ("settings", {"settings": None}),
            ("volumesnapshotlocations", {"volumes": {"pv-orders": volume({"awsElasticBlockStore": {}})}}),
            ("node agents", {"pods": (pod(annotations=OPTED_IN),)}),
            ("persistentvolumes", {"pods": (pod(annotations=OPTED_IN),)}),
            ("node agents", {"settings": replace(SERVED, move_data=True)}),
        ],
    )
    def test_what_may_not_be_read_is_said(self, unseen: str, more: Json) -> None:
        found = verdict(cluster(unseen={unseen: "It may not be listed."}, **more))
        assert found == Verdict(Method.UNKNOWN, "It may not be listed.")

    @pytest.mark.parametrize(
        ("annotations", "method"),
        [({}, Method.UNKNOWN), (OPTED_IN, Method.FILES), (OPTED_IN | OPTED_OUT, Method.UNKNOWN)],
    )
    def test_without_the_settings_a_mounting_pod_may_decide(self, annotations: Json, method: Method) -> None:
        hidden = cluster(settings=None, unseen={"settings": "Not known."}, pods=(pod(annotations=annotations),))
        assert verdict(hidden).method == method

    def test_without_the_settings_an_opt_out_is_sure(self) -> None:
        native = {"pv-orders": volume({"awsElasticBlockStore": {}})}
        hidden = cluster(settings=None, unseen={"settings": "Not known."}, volumes=native)
        hidden = replace(hidden, pods=(pod(annotations=OPTED_OUT),), snapshot_locations=(location("aws"),))
        assert verdict(hidden).method == Method.PROVIDER_SNAPSHOT


class TestPlan:
    def test_only_what_is_in_the_backup(self) -> None:
        claims = (claim(), claim(namespace="velero"), claim(namespace="other"))
        everything = plan(cluster(claims=claims))
        assert [one.namespace for one in everything.claims] == ["other", "shop"]
        assert [one.namespace for one in plan(cluster(claims=claims), included_namespaces=("shop",)).claims] == ["shop"]

    def test_what_is_not_saved_comes_first_and_all_is_counted(self) -> None:
        claims = (claim(), claim("aa"), claim("zz", spec={"volumeName": ""}))
        volumes = {f"pv-{name}": volume(SHOP_CSI, name) for name in ("orders", "aa")}
        found = plan(cluster(claims=claims, volumes=volumes))
        assert [one.name for one in found.claims] == ["zz", "aa", "orders"]
        assert found.counts == {Method.NOT_SAVED: 1, Method.CSI_SNAPSHOT: 2}
        assert (found.claims[1].size, found.claims[0].storage_class) == ("8Gi", "fast")

    @pytest.mark.parametrize(
        ("providers", "flags", "refused"),
        [
            (["aws"], SERVED, False),
            (["aws", "gcp"], SERVED, False),
            (["aws", "velero.io/aws"], SERVED, True),
            (["aws", "aws"], replace(SERVED, snapshot_locations={"velero.io/aws": "a"}), False),
            (["aws", "aws"], None, True),
        ],
    )
    def test_several_locations_of_one_provider_stop_every_backup(
        self, providers: list[str], flags: Settings | None, refused: bool
    ) -> None:
        places = tuple(location(provider, str(number)) for number, provider in enumerate(providers))
        notes = plan(cluster(snapshot_locations=places, settings=flags, unseen={"settings": "x"})).notes
        assert bool(notes) == refused

    def test_odd_objects_are_judged_as_well(self) -> None:
        odd = {"metadata": {"name": "odd", "namespace": "shop"}, "spec": {}, "status": {}}
        weird: Json = {"metadata": None, "spec": {"volumes": [None, 1, {"name": 3}], "containers": "x"}, "status": []}
        found = plan(cluster(claims=(odd, {}), pods=(weird,), snapshot_classes=({},), volumes={"": {"spec": None}}))
        assert {one.verdict.method for one in found.claims} == {Method.NOT_SAVED}
