"""Policies in their clusters: put, changed, run, changed by others' hands, removed."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups.actions.location_delete import delete_location
from backups.actions.policy import create_policy, delete_policy, pause_policy, run_policy, update_policy
from backups.actions.policy_drift import adopt_drift, mend_policy
from backups.lifecycle import State
from backups.models import (
    Backup,
    BackupLocation,
    BackupPolicy,
    ClusterResources,
    Origin,
    PolicyChange,
    PolicyChangeState,
    Timing,
)
from backups.reconcile import loop, policy_drift, readoption
from backups.reconcile import policy as policies
from backups.reconcile.watching import Changed, Looked
from backups.velero import names
from console.lib.errors import BadInput
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import VELERO, Sent, Site, claim, expire

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _immediate(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())
    readoption._settled.clear()


def made(by: User, site: Site, store: BackupLocation, prefix: str = "nightly", **fields: Any) -> BackupPolicy:
    """A policy as the form makes it, brought to its cluster."""
    values: Json = {"timing": Timing.WEEKLY, "time_zone": "Europe/Berlin", "keep_for": timedelta(days=30)} | fields
    policy = create_policy(by=by, cluster=site.row, prefix=prefix, location=store, submission=uuid.uuid4(), **values)
    work(policy)
    return again(policy)


def again(policy: BackupPolicy) -> BackupPolicy:
    return BackupPolicy.everything.select_related("cluster", "location").get(pk=policy.pk)


def work(policy: BackupPolicy) -> PolicyChange:
    policies.carry_out(claim(PolicyChange.objects.get(policy=policy)))
    return PolicyChange.objects.select_related("policy__cluster").get(policy=policy)


def there(site: Site) -> Json:
    """The one Schedule in the cluster."""
    (found,) = site.velero.objects("schedules")
    return found


def looked(site: Site) -> None:
    """As the reconciler looks at a cluster, some time after what was put."""
    later = timezone.now() + timedelta(minutes=1)
    found = {
        kind: {one["metadata"]["name"]: one for one in site.velero.objects(kind)} for kind in ("backups", "schedules")
    }
    loop.write(Looked(site.row.pk, {"backup": found["backups"]}, later, {}, schedules=found["schedules"]))


def ran(site: Site, at: str = "20261129000012") -> Json:
    """A Backup as Velero's schedule controller makes it: the template, and the Schedule's annotations."""
    schedule = there(site)
    meta, template = schedule["metadata"], schedule["spec"]["template"]
    made: Json = {
        "apiVersion": names.API_VERSION,
        "kind": "Backup",
        "metadata": {
            "name": f"{meta['name']}-{at}",
            "namespace": VELERO,
            "labels": template["metadata"]["labels"] | {names.SCHEDULE_NAME: meta["name"]},
            "annotations": meta["annotations"],
        },
        "spec": {key: value for key, value in template.items() if key != "metadata"},
    }
    site.fake.put("backups", made)
    return next(one for one in site.velero.objects("backups") if one["metadata"]["name"] == made["metadata"]["name"])


def test_a_policy_becomes_a_schedule_with_its_location(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store, namespaces=["shop"], cluster_resources=ClusterResources.NEVER)
    schedule = there(east)
    spec, template = schedule["spec"], schedule["spec"]["template"]
    assert (spec["schedule"], spec["paused"], spec["skipImmediately"]) == (
        "CRON_TZ=Europe/Berlin 0 0 * * 0",
        False,
        True,
    )
    assert template["storageLocation"] == east.velero.objects("backupstoragelocations")[0]["metadata"]["name"]
    assert (template["ttl"], template["includedNamespaces"]) == ("720h0m0s", ["shop"])
    assert template["includeClusterResources"] is False
    assert template["metadata"]["labels"][names.POLICY] == str(policy.pk)
    assert schedule["metadata"]["labels"][names.EXCLUDE_FROM_BACKUP] == "true"
    assert not policy.is_behind
    assert policy.next_run_at and policy.next_run_at.isoweekday() in (6, 7)


def test_pausing_and_resuming_never_start_a_run(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    for paused in (True, False):
        east.fake.patch("schedules", policy.object_name, {"spec": {"skipImmediately": False}}, namespace=VELERO)
        policy = pause_policy(by=alice, policy=policy, paused=paused)
        assert work(policy).state == PolicyChangeState.COMPLETED
        assert (there(east)["spec"]["paused"], there(east)["spec"]["skipImmediately"]) == (paused, True)
        assert (again(policy).next_run_at is None) is paused


def test_another_change_does_not_swallow_a_run_that_is_due(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    east.fake.patch("schedules", policy.object_name, {"spec": {"skipImmediately": False}}, namespace=VELERO)
    work(update_policy(by=alice, policy=policy, keep_for=timedelta(days=7)))
    assert (there(east)["spec"]["template"]["ttl"], there(east)["spec"]["skipImmediately"]) == ("168h0m0s", False)


def test_pausing_works_while_the_location_is_unavailable(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    east.velero.verdict = ("Unavailable", "rpc error: AccessDenied")
    east.velero.judge(east.velero.objects("backupstoragelocations")[0]["metadata"]["name"])
    change = work(pause_policy(by=alice, policy=policy, paused=True))
    assert change.state == PolicyChangeState.COMPLETED
    assert "would fail now" in change.message
    assert there(east)["spec"]["paused"] is True


def test_a_cluster_that_is_away_gets_the_schedule_when_it_is_back(
    alice: User, east: Site, store: BackupLocation, api: FakeApiServer
) -> None:
    api.add_faults(Fault("reset_before", times=None))
    policy = create_policy(
        by=alice, cluster=east.row, prefix="nightly", location=store, submission=uuid.uuid4(), timing=Timing.MONTHLY
    )
    change = work(policy)
    assert change.state == PolicyChangeState.REQUESTED
    assert change.message
    assert again(policy).is_behind
    api.faults.clear()
    east.allow_connecting()
    expire(change)
    assert work(policy).state == PolicyChangeState.COMPLETED
    assert there(east)["spec"]["schedule"] == "CRON_TZ=UTC 0 0 1 * *"


def test_two_weeks_are_anchored_at_once_and_again_after_each_run(
    alice: User, east: Site, store: BackupLocation
) -> None:
    first = timezone.localdate() + timedelta(days=5)
    policy = made(alice, east, store, timing=Timing.TWO_WEEKS, time_zone="UTC", first_day=first)
    schedule = there(east)
    assert (schedule["spec"]["schedule"], schedule["spec"]["skipImmediately"]) == ("@every 336h", False)
    assert schedule["status"]["lastBackup"] == f"{first - timedelta(days=14)}T00:00:00Z"
    looked(east)
    assert not PolicyChange.objects.filter(state=PolicyChangeState.REQUESTED).exists()
    east.fake.patch("schedules", policy.object_name, {"status": {"lastBackup": f"{first}T00:00:41Z"}}, namespace=VELERO)
    looked(east)
    assert work(policy).state == PolicyChangeState.COMPLETED
    assert there(east)["status"]["lastBackup"] == f"{first}T00:00:00Z"


def test_what_a_schedule_makes_becomes_a_row_once(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    raw = ran(east)
    loop.write(Changed(east.row.pk, "backup", raw))
    looked(east)
    backup = Backup.objects.get()
    assert (backup.policy_id, backup.origin, backup.state) == (policy.pk, Origin.POLICY, State.SUBMITTED)
    assert backup.name.startswith("nightly-20")
    assert backup.cluster_resources == ClusterResources.AUTO
    times = {"startTimestamp": "2026-11-29T00:00:13Z", "completionTimestamp": "2026-11-29T00:00:20Z"}
    east.fake.patch("backups", backup.object_name, {"status": {"phase": "Completed", **times}}, namespace=VELERO)
    looked(east)
    backup.refresh_from_db()
    assert backup.state == State.COMPLETED
    assert AuditEvent.objects.filter(verb="backup.scheduled").count() == 1


def test_two_policies_that_run_in_the_same_second_make_two_rows(alice: User, east: Site, store: BackupLocation) -> None:
    for end in "ab":
        made(alice, east, store, prefix=f"production-database-of-the-shop-{end}")
        ran(east)
        looked(east)
        east.fake.remove("schedules", there(east)["metadata"]["name"], namespace=VELERO)
    assert Backup.objects.count() == 2
    assert all(len(backup.name) <= 38 for backup in Backup.objects.all())


def test_run_now_is_a_backup_of_the_policy(alice: User, east: Site, store: BackupLocation) -> None:
    policy, submission = made(alice, east, store, namespaces=["shop"]), uuid.uuid4()
    backup = run_policy(by=alice, policy=policy, submission=submission)
    assert run_policy(by=alice, policy=policy, submission=submission) == backup
    assert (backup.policy, backup.origin, backup.namespaces) == (policy, Origin.POLICY, ["shop"])
    assert (backup.keep_for, backup.requested_by) == (timedelta(days=30), alice)


class TestDrift:
    def test_none_of_what_velero_writes_itself(self, alice: User, east: Site, store: BackupLocation) -> None:
        policy = made(alice, east, store)
        template = {"hooks": {}, "csiSnapshotTimeout": "0s", "itemOperationTimeout": "0s"}
        spec = {"skipImmediately": False, "template": template}
        status = {"phase": "Enabled", "lastSkipped": "2026-11-23T08:00:00Z"}
        east.fake.patch("schedules", policy.object_name, {"spec": spec, "status": status}, namespace=VELERO)
        looked(east)
        assert (again(policy).drift, again(policy).phase) == ([], "Enabled")

    def test_what_others_changed_is_said_and_mended(self, alice: User, east: Site, store: BackupLocation) -> None:
        policy = made(alice, east, store)
        spec = {"schedule": "0 3 * * *", "template": {"ttl": "24h0m0s"}}
        east.fake.patch("schedules", policy.object_name, {"spec": spec}, namespace=VELERO)
        looked(east)
        policy = again(policy)
        assert [(each["what"], each["found"]) for each in policy.drift] == [
            ("Schedule expression", "0 3 * * *"),
            ("Period until expiry", "24h0m0s"),
        ]
        mend_policy(by=alice, policy=policy)
        work(policy)
        assert there(east)["spec"]["schedule"] == "CRON_TZ=Europe/Berlin 0 0 * * 0"
        looked(east)
        assert again(policy).drift == []

    def test_it_can_be_adopted(self, alice: User, east: Site, store: BackupLocation) -> None:
        policy = made(alice, east, store)
        spec = {"schedule": "CRON_TZ=UTC 30 3 * * *", "paused": True, "template": {"includedNamespaces": ["intranet"]}}
        east.fake.patch("schedules", policy.object_name, {"spec": spec}, namespace=VELERO)
        looked(east)
        adopt_drift(by=alice, policy=again(policy))
        work(policy)
        policy = again(policy)
        assert (policy.timing, policy.hour, policy.minute, policy.day) == (Timing.CUSTOM, 3, 30, None)
        assert (policy.paused, policy.namespaces, policy.drift) == (True, ["intranet"], [])
        assert policy.cluster_resources == ClusterResources.ALWAYS  # as the Schedule says it
        assert there(east)["spec"]["schedule"] == "CRON_TZ=UTC 30 3 * * *"

    def test_what_no_policy_can_say_is_not_adopted(self, alice: User, east: Site, store: BackupLocation) -> None:
        policy = made(alice, east, store)
        east.fake.patch("schedules", policy.object_name, {"spec": {"schedule": "*/7 * * * *"}}, namespace=VELERO)
        looked(east)
        with pytest.raises(BadInput, match="cannot be said"):
            adopt_drift(by=alice, policy=again(policy))
        assert again(policy).timing == Timing.WEEKLY

    def test_a_removed_schedule_is_put_again_or_its_policy_let_go(
        self, alice: User, east: Site, store: BackupLocation
    ) -> None:
        policy = made(alice, east, store)
        for _ in range(2):
            east.fake.remove("schedules", policy.object_name, namespace=VELERO)
            looked(east)
            assert [each["what"] for each in again(policy).drift] == ["Schedule"]
            mend_policy(by=alice, policy=policy)
            work(policy)
            assert there(east)["metadata"]["name"] == policy.object_name
        east.fake.remove("schedules", policy.object_name, namespace=VELERO)
        looked(east)
        assert adopt_drift(by=alice, policy=again(policy)) is None
        assert not BackupPolicy.objects.exists()


def test_a_deleted_policy_leaves_its_backups(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    ran(east)
    looked(east)
    with pytest.raises(BadInput) as refused:
        delete_policy(by=alice, policy=policy, typed_name="nightl")
    assert refused.value.field == "typed_name"
    delete_policy(by=alice, policy=policy, typed_name="nightly")
    assert work(policy).state == PolicyChangeState.COMPLETED
    assert east.velero.objects("schedules") == []
    assert again(policy).deleted_at
    assert Backup.objects.get().policy_id == policy.pk
    made(alice, east, store)  # the prefix is free again


def test_a_location_that_a_policy_uses_is_not_deleted(alice: User, east: Site, store: BackupLocation) -> None:
    made(alice, east, store)
    with pytest.raises(BadInput, match="nightly of harbor-east"):
        delete_location(by=alice, location=store, typed_name=store.name)


@pytest.mark.parametrize(
    "fields",
    [
        {"timing": Timing.CUSTOM, "day": 15, "hour": 2, "minute": 30, "namespaces": ["shop"], "include_disks": False},
        {"timing": Timing.TWO_WEEKS, "first_day": date(2026, 11, 29), "cluster_resources": ClusterResources.NEVER},
        {"paused": True},
    ],
)
def test_with_an_old_copy_of_the_database_policies_are_found_again(
    alice: User, east: Site, store: BackupLocation, fields: Json
) -> None:
    policy = made(alice, east, store, **fields)
    raw = ran(east)
    BackupPolicy.everything.all().delete()
    looked(east)
    again_here = again(policy)
    kept = ("prefix", "timing", "time_zone", "first_day", "month", "day", "hour", "minute", "keep_for", "namespaces")
    for name in (*kept, "include_disks", "cluster_resources", "paused", "location_id", "object_name"):
        assert getattr(again_here, name) == getattr(policy, name), name
    assert again_here.drift == []
    assert Backup.objects.get(object_name=raw["metadata"]["name"]).policy_id == policy.pk
    assert not PolicyChange.objects.filter(state=PolicyChangeState.REQUESTED).exists()


def test_a_run_that_is_over_gives_way_to_the_next(alice: User, east: Site, store: BackupLocation) -> None:
    policy = made(alice, east, store)
    past = datetime(2026, 1, 4, tzinfo=UTC)
    BackupPolicy.objects.update(next_run_at=past)
    assert policy_drift.move_on() == 1
    assert again(policy).next_run_at == policy.next_run_at
    assert policy.next_run_at and policy.next_run_at.date() >= date.today()
