"""Policies on the real stack: Velero keeps to their Schedules, and what it makes becomes rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups import schedule
from backups.actions.policy import create_policy, delete_policy, pause_policy, run_policy
from backups.actions.policy_drift import adopt_drift, mend_policy
from backups.models import Backup, BackupPolicy, Origin, Timing
from backups.velero import names
from backups.velero.reading import read_moment
from tests.e2e.conftest import VELERO, World, ended, eventually, unique

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(420)]
A_RUN = 150  # seconds: Velero looks at its schedules once a minute, and has other backups to make
A_LOOK = 75  # the reconciler looks at an idle cluster every 45 seconds


def made(world: World, **fields: Any) -> BackupPolicy:
    values = {
        "cluster": world.fleet.east,
        "location": world.fleet.location,
        "prefix": unique("p"),
        "submission": uuid.uuid4(),
        "keep_for": timedelta(days=1),
        "include_disks": False,
        "namespaces": ["intranet"],
        "timing": Timing.CUSTOM,
    }
    return create_policy(by=world.fleet.admin, **values | fields)


def again(policy: BackupPolicy) -> BackupPolicy:
    return BackupPolicy.everything.get(pk=policy.pk)


def until(when: Callable[[], Any], seconds: float, said: Callable[[], object] = lambda: "") -> Any:
    end = time.monotonic() + seconds
    while not (found := when()):
        assert time.monotonic() < end, said()
        time.sleep(0.2)
    return found


def there(world: World, policy: BackupPolicy) -> dict[str, Any] | None:
    """The policy's Schedule in the cluster."""
    found = {one["metadata"]["name"]: one for one in world.velero_objects("harbor-east", "schedules")}
    return found.get(policy.object_name)


def patched(world: World, policy: BackupPolicy, change: dict[str, Any]) -> None:
    """As somebody with kubectl would."""
    with world.connect("harbor-east") as connection:
        connection.merge_patch(names.path("schedules", VELERO, policy.object_name), change)


def put(policy: BackupPolicy) -> BackupPolicy:
    """Once the latest version is in the cluster."""
    until(lambda: not again(policy).is_behind, 30, lambda: list(policy.changes.values("state", "message")))
    return again(policy)


def test_velero_keeps_to_the_schedule_and_its_backups_become_rows(world: World) -> None:
    policy = put(made(world))
    assert again(policy).phase == "Enabled"
    now = ended(run_policy(by=world.fleet.admin, policy=policy, submission=uuid.uuid4()))
    assert (now.state, now.policy_id) == ("completed", policy.pk)
    runs = Backup.objects.filter(policy=policy, requested_by=None)
    first = until(runs.first, A_RUN, lambda: there(world, policy))
    appeared = timezone.now()
    assert (first.origin, first.namespaces, first.cluster_resources) == (Origin.POLICY, ["intranet"], "auto")
    assert first.name.startswith(policy.prefix[:20])
    assert appeared - first.created_at < timedelta(seconds=10)
    assert ended(first, A_RUN).state == "completed"
    pause_policy(by=world.fleet.admin, policy=policy, paused=True)
    put(policy)
    schedule_there = there(world, policy)
    assert schedule_there and schedule_there["spec"]["paused"] is True
    time.sleep(2)
    until(lambda: again(policy).seen_at, A_LOOK)
    assert again(policy).drift == []


def test_what_is_changed_behind_our_back_is_seen_mended_and_adopted(world: World) -> None:
    policy = put(made(world, timing=Timing.MONTHLY))
    patched(world, policy, {"spec": {"schedule": "CRON_TZ=Europe/Berlin 15 4 * * *"}})
    until(lambda: again(policy).drift, A_LOOK)
    assert [each["what"] for each in again(policy).drift] == ["Schedule expression"]
    adopt_drift(by=world.fleet.admin, policy=policy)
    policy = put(policy)
    assert (policy.timing, policy.time_zone, policy.hour, policy.minute) == (Timing.CUSTOM, "Europe/Berlin", 4, 15)
    with world.connect("harbor-east") as connection:
        connection.delete(names.path("schedules", VELERO, policy.object_name))
    until(lambda: again(policy).drift, A_LOOK)
    mend_policy(by=world.fleet.admin, policy=policy)
    policy = put(policy)
    assert there(world, policy)
    delete_policy(by=world.fleet.admin, policy=policy, typed_name=policy.prefix)
    until(lambda: again(policy).deleted_at, 30)
    assert there(world, policy) is None


def test_two_weeks_after_a_run_it_is_midnight_again(world: World) -> None:
    """The run is brought about by an anchor 336 hours ago; Velero takes the moment of the run for the next anchor."""
    today = datetime.now(UTC).date()
    policy = put(made(world, timing=Timing.TWO_WEEKS, first_day=today, time_zone="Europe/Berlin"))
    due = schedule.next_run(policy.plan, timezone.now())
    assert due
    assert anchored_to(world, policy) == due
    earlier = datetime.now(UTC) - schedule.PERIOD - timedelta(seconds=1)
    patched(world, policy, {"status": {"lastBackup": earlier.strftime("%Y-%m-%dT%H:%M:%SZ")}})
    run = until(Backup.objects.filter(policy=policy).first, A_RUN + A_LOOK, lambda: there(world, policy))
    assert run.requested_by is None
    until(lambda: anchored_to(world, policy) == due, A_LOOK + 30, lambda: there(world, policy))
    assert eventually(run, lambda row: not row.is_open, 120).state == "completed"
    delete_policy(by=world.fleet.admin, policy=policy, typed_name=policy.prefix)


def anchored_to(world: World, policy: BackupPolicy) -> datetime | None:
    """When Velero runs it next."""
    found = there(world, policy)
    last = read_moment((found or {}).get("status", {}).get("lastBackup"))
    return last + schedule.PERIOD if last else None
