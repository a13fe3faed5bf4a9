"""What is sent to a cluster: the rules that keep keys out of backups and a second Velero out of clusters."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.velero import names, scope
from backups.velero.backup import BackupRequest, DiskMethod, backup_manifest
from backups.velero.deletion import deletion_manifest
from backups.velero.restore import RestoreRequest, restore_manifest
from backups.velero.schedule import ScheduleRequest, schedule_manifest
from console.lib.errors import BadInput

LABELS = {names.REQUEST: "7c7cbb1a-7f0b-4f2f-8a49-5b8f0a1f2e3d", names.CLUSTER: "c" * 80, names.PROJECT: "p"}
DNS_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda name: name != "velero")


def backup(**changes: object) -> BackupRequest:
    wanted: dict = {"name": "b", "namespace": "velero", "storage_location": "l", "ttl": timedelta(days=30)}
    return BackupRequest(**{**wanted, "labels": LABELS, **changes})


def restore(**changes: object) -> RestoreRequest:
    wanted: dict = {"name": "r", "namespace": "velero", "backup_name": "b", "labels": LABELS}
    return RestoreRequest(**{**wanted, **changes})


def test_a_backup_of_everything_leaves_velero_out_and_says_cluster_resources_explicitly() -> None:
    manifest = backup_manifest(backup())
    assert manifest["apiVersion"] == "velero.io/v1"
    assert manifest["spec"] == {
        "storageLocation": "l",
        "includedNamespaces": ["*"],
        "excludedNamespaces": ["velero"],
        "includeClusterResources": True,
        "snapshotVolumes": False,
        "defaultVolumesToFsBackup": False,
        "ttl": "720h0m0s",
    }


def test_everything_we_create_says_whose_it_is_and_stays_out_of_backups() -> None:
    manifests = [
        backup_manifest(backup()),
        restore_manifest(restore()),
        deletion_manifest("d", "velero", backup_name="b", backup_uid="u", labels=LABELS),
        schedule_manifest(ScheduleRequest(name="s", cron="0 0 * * 0", backup=backup(), labels=LABELS)),
    ]
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "drydock"
        assert labels["velero.io/exclude-from-backup"] == "true"
        assert labels["drydock.backup/request"] == LABELS[names.REQUEST]
        assert all(len(value) <= 63 for value in labels.values())


@pytest.mark.parametrize(("auto", "sent"), [(None, None), (True, True), (False, False)])
def test_named_namespaces_keep_auto_for_velero_to_decide(auto: bool | None, sent: bool | None) -> None:
    spec = backup_manifest(backup(included_namespaces=("b", "a"), include_cluster_resources=auto))["spec"]
    assert spec.get("includeClusterResources") is sent
    assert spec["includedNamespaces"] == ["a", "b"]


def test_never_means_never_even_for_everything() -> None:
    assert backup_manifest(backup(include_cluster_resources=False))["spec"]["includeClusterResources"] is False
    assert restore_manifest(restore(include_cluster_resources=False))["spec"]["includeClusterResources"] is False


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (DiskMethod.SNAPSHOT, {"snapshotVolumes": True}),
        (DiskMethod.FILES, {"snapshotVolumes": False, "defaultVolumesToFsBackup": True}),
        (DiskMethod.DATA_MOVER, {"snapshotVolumes": True, "snapshotMoveData": True}),
    ],
)
def test_disks(method: DiskMethod, fields: dict[str, bool]) -> None:
    assert fields.items() <= backup_manifest(backup(include_disks=True, disk_method=method))["spec"].items()


@pytest.mark.parametrize("name", ["velero", "*", "vel*", "[v]elero", "{velero}", "Team", "a/b", "", "a" * 64, "v?lero"])
def test_the_velero_namespace_and_patterns_are_refused(name: str) -> None:
    for make in (
        lambda: backup_manifest(backup(included_namespaces=("shop", name))),
        lambda: restore_manifest(restore(included_namespaces=("shop", name))),
    ):
        with pytest.raises(BadInput) as caught:
            make()
        assert caught.value.field == "namespaces"


@settings(deadline=None)
@given(namespaces=st.lists(DNS_LABEL, max_size=6), include=st.sampled_from([None, True, False]))
def test_no_backup_can_carry_the_velero_namespace(namespaces: list[str], include: bool | None) -> None:
    request = backup(included_namespaces=tuple(namespaces), include_cluster_resources=include)
    spec = backup_manifest(request)["spec"]
    assert spec["excludedNamespaces"] == ["velero"]
    assert "velero" not in spec["includedNamespaces"]
    assert spec["includedNamespaces"] == (sorted(set(namespaces)) or ["*"])


def test_a_backup_must_last() -> None:
    with pytest.raises(BadInput) as caught:
        backup_manifest(backup(ttl=timedelta(0)))
    assert caught.value.field == "ttl"


def test_a_restore_never_clones_a_velero() -> None:
    spec = restore_manifest(restore())["spec"]
    assert spec["backupName"] == "b"
    assert "scheduleName" not in spec
    assert spec["excludedNamespaces"] == ["velero"]
    assert spec["includeClusterResources"] is True
    assert {
        "schedules.velero.io",
        "backupstoragelocations.velero.io",
        "volumesnapshotlocations.velero.io",
        "nodes",
        "events",
        "events.events.k8s.io",
        "backups.velero.io",
        "restores.velero.io",
        "resticrepositories.velero.io",
        "backuprepositories.velero.io",
        "csinodes.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
    } <= set(spec["excludedResources"])


def test_a_restore_of_some_namespaces() -> None:
    request = restore(
        included_namespaces=("shop",),
        namespace_mapping={"shop": "shop-copy"},
        restore_pvs=False,
        preserve_node_ports=True,
        existing_resource_policy="update",
        excluded_resources=scope.CLUSTER_POWERS,
        resource_modifier="classes",
    )
    spec = restore_manifest(request)["spec"]
    assert "includeClusterResources" not in spec
    assert spec["namespaceMapping"] == {"shop": "shop-copy"}
    assert spec["restorePVs"] is False
    assert spec["preserveNodePorts"] is True
    assert spec["existingResourcePolicy"] == "update"
    assert spec["resourceModifier"] == {"kind": "ConfigMap", "name": "classes"}
    assert set(scope.CLUSTER_POWERS) <= set(spec["excludedResources"])
    assert len(spec["excludedResources"]) == len(set(spec["excludedResources"]))


@pytest.mark.parametrize("mapping", [{"shop": "velero"}, {"velero": "shop"}, {"other": "x"}, {"shop": "a*"}])
def test_a_mapping_never_leads_into_velero_nor_from_nowhere(mapping: dict[str, str]) -> None:
    with pytest.raises(BadInput) as caught:
        restore_manifest(restore(included_namespaces=("shop",), namespace_mapping=mapping))
    assert caught.value.field == "namespace_mapping"


def test_a_schedule_labels_the_backups_it_makes() -> None:
    manifest = schedule_manifest(ScheduleRequest(name="s", cron="@every 336h", backup=backup(), paused=True))
    spec = manifest["spec"]
    assert spec["template"]["metadata"]["labels"][names.REQUEST] == LABELS[names.REQUEST]
    assert spec["skipImmediately"] is False  # it would overrule the anchor
    assert spec["useOwnerReferencesInBackup"] is False
    assert spec["paused"] is True
    with pytest.raises(BadInput):
        schedule_manifest(ScheduleRequest(name="s" * 49, cron="@daily", backup=backup()))


@pytest.mark.parametrize(
    ("duration", "text"),
    [(timedelta(hours=720), "720h0m0s"), (timedelta(0), "0h0m0s"), (timedelta(days=1, seconds=61), "24h1m1s")],
)
def test_go_durations(duration: timedelta, text: str) -> None:
    assert names.go_duration(duration) == text


@settings(deadline=None)
@given(st.text(alphabet="abc-", max_size=300))
def test_labels_are_cut_as_velero_cuts_its_own(text: str) -> None:
    value = names.label_value(text)
    assert len(value) <= 63
    assert value == text if len(text) <= 63 else re.fullmatch(r".{57}[0-9a-f]{6}", value)
