"""Settings > Schedule Backups: the list, the form with its next runs, one policy's page and what is done there."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.roles import ProjectViewer
from backups.models import Backup, BackupLocation, BackupPolicy, Origin, PolicyChange, PolicyChangeState, Timing
from tests.people import person
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.usefixtures("commits_at_once")
SENT = list[tuple[str, str, int, str]]


def url(name: str, row: Any) -> str:
    return reverse(name, args=[row.pk])


def typed(store: BackupLocation, **fields: Any) -> dict[str, Any]:
    values = {
        "prefix": "nightly", "location": store.pk, "timing": "weekly", "time_zone": "Europe/Berlin", "keep": "30",
        "first_day": "2026-11-29", "month": "*", "day": "*", "hour": "0", "minute": "0",
        "include_disks": "on", "cluster_resources": "auto", "submission": str(uuid.uuid4()),
    }  # fmt: skip
    return values | fields


def put(cluster: Cluster, store: BackupLocation, **fields: Any) -> BackupPolicy:
    """A policy that is in its cluster."""
    values: dict[str, Any] = {"put_version": 1, "put_at": timezone.now(), "phase": "Enabled", "prefix": "nightly"}
    values |= {"object_name": f"nightly-{uuid.uuid4().hex[:8]}"}
    return BackupPolicy.objects.create(project=cluster.project, cluster=cluster, location=store, **values | fields)


def text(answer: Any) -> str:
    """What is read on a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_policy_is_added_once_and_sent_to_a_worker(
    alices: Client, east: Cluster, store: BackupLocation, sent: SENT
) -> None:
    fields = typed(store, known=["shop"], others="later", keep="days", days="45")
    answers = [alices.post(url("policy_create", east), fields) for _ in range(2)]
    policy = BackupPolicy.objects.get()
    assert [answer["Location"] for answer in answers] == [url("policy_detail", policy)] * 2
    assert (policy.timing, policy.time_zone, policy.keep_for) == (Timing.WEEKLY, "Europe/Berlin", timedelta(days=45))
    assert (policy.namespaces, policy.first_day, policy.hour) == (["shop", "later"], None, None)
    change = PolicyChange.objects.get()
    assert sent == [("backups.jobs.change_policy", str(change.pk), 0, "slow")]


@pytest.mark.parametrize(
    ("fields", "at", "says"),
    [
        ({"timing": "custom", "month": "2", "day": "31"}, "day", "February never has a 31st"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "not known"),
        ({"timing": "two_weeks", "first_day": ""}, "first_day", "first run"),
        ({"prefix": "Nightly!"}, "prefix", "lower-case"),
        ({"keep": "days"}, "days", "how many"),
        ({"others": "velero"}, "__all__", "never backed up"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(
    alices: Client, east: Cluster, store: BackupLocation, fields: dict[str, str], at: str, says: str
) -> None:
    answer = alices.post(url("policy_create", east), typed(store, **{"others": "kept-namespace"} | fields))
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [at]
    assert says in str(answer.context["form"].errors[at])
    assert "others" in fields or "kept-namespace" in answer.content.decode()
    assert not BackupPolicy.objects.exists()


def test_a_prefix_is_taken_once(alices: Client, east: Cluster, store: BackupLocation) -> None:
    put(east, store)
    answer = alices.post(url("policy_create", east), typed(store))
    assert answer.status_code == 422
    assert "has a policy with this prefix already" in text(answer)


def test_the_next_runs_follow_what_is_filled_in(alices: Client, east: Cluster, store: BackupLocation) -> None:
    asked = {"do": "runs", "timing": "custom", "day": "1", "hour": "2", "minute": "30", "time_zone": "Asia/Tokyo"}
    answer = alices.post(url("policy_create", east), typed(store, prefix="", **asked), headers={"Live": "1"})
    said = text(answer)
    assert "Every month on the 1st, at 02:30" in said
    assert said.count(", 02:30 JST") == 5
    assert "<form" not in answer.content.decode()
    never = {"do": "runs", "timing": "custom", "month": "2", "day": "30"}
    assert "never has a 30th" in text(alices.post(url("policy_create", east), typed(store, **never)))
    assert not BackupPolicy.objects.exists()


def test_what_becomes_of_each_volume_is_looked_up_before_it_is_saved(
    alices: Client, east: Cluster, store: BackupLocation, sent: SENT
) -> None:
    asked = typed(store, prefix="", do="volumes", known=["shop"])
    assert "volume-previews" in alices.post(url("policy_create", east), asked, headers={"Live": "1"}).content.decode()
    page = alices.post(url("policy_create", east), asked).content.decode()
    assert "volume-previews" in page
    assert "Next five runs" in page
    assert [job for job, *_ in sent] == ["backups.jobs.preview_volumes"]  # the same is asked once
    assert not BackupPolicy.objects.exists()


def test_an_edit_begins_with_what_is_and_brings_the_change(
    alices: Client, east: Cluster, store: BackupLocation, sent: SENT
) -> None:
    policy = put(east, store, timing="custom", month=3, hour=4, minute=5, keep_for=timedelta(days=45))
    form = alices.get(url("policy_edit", policy)).context["form"]
    values = {name: form[name].value() for name in form.fields}
    assert (values["month"], values["day"], values["hour"], values["keep"], values["days"]) == (3, "*", 4, "days", 45)
    fields = typed(store, timing="monthly", hour="4", minute="5", month="3")
    assert alices.post(url("policy_edit", policy), fields)["Location"] == url("policy_detail", policy)
    policy.refresh_from_db()
    assert (policy.timing, policy.hour, policy.version, policy.put_version) == (Timing.MONTHLY, None, 2, 1)
    assert len(sent) == 1
    alices.post(url("policy_edit", policy), fields)
    assert len(sent) == 1  # nothing else was changed


def test_the_list_says_how_each_stands(alices: Client, east: Cluster, store: BackupLocation) -> None:
    long_ago = timezone.now() - timedelta(days=30)
    put(east, store, prefix="late-one", counts_from=long_ago)
    put(east, store, prefix="paused-one", paused=True)
    put(east, store, prefix="drifted-one", drift=[{"what": "Paused", "wanted": "no", "found": "yes"}], found={})
    failed = put(east, store, prefix="failed-one", version=2)
    PolicyChange.objects.create(
        policy=failed, kind="put", state=PolicyChangeState.FAILED, message="Velero is not there.", due_at=None
    )
    said = text(alices.get(url("cluster_schedule", east)))
    for words in ("Late", "None for the run", "Paused", "None while paused", "Changed in the cluster", "Velero is not"):
        assert words in said
    overview = text(alices.get(url("cluster_overview", east)))
    assert "late-one" in overview


def test_a_good_backup_makes_a_policy_be_on_time(alices: Client, east: Cluster, store: BackupLocation) -> None:
    policy = put(east, store, counts_from=timezone.now() - timedelta(days=30))
    fields: dict[str, Any] = {"project": east.project, "cluster": east, "location": store, "origin": Origin.POLICY}
    Backup.objects.create(
        policy=policy, name="a", object_name="a", keep_for=timedelta(days=1), state="completed", **fields
    )
    said = text(alices.get(url("policy_detail", policy)))
    assert "older than its schedule allows" not in said
    Backup.objects.update(state="failed")
    assert "older than its schedule allows" in text(alices.get(url("policy_detail", policy)))


def test_pause_run_mend_and_delete(alices: Client, east: Cluster, store: BackupLocation, sent: SENT) -> None:
    policy, submission = put(east, store), str(uuid.uuid4())
    alices.post(url("policy_pause", policy), {"paused": "yes"})
    assert BackupPolicy.objects.get().paused
    for _ in range(2):
        answer = alices.post(url("policy_run", policy), {"submission": submission})
    backup = Backup.objects.get()
    assert answer["Location"] == url("backup_detail", backup)
    assert backup.policy == policy
    assert "Policy" in text(alices.get(url("backup_detail", backup)))
    answer = alices.post(url("policy_mend", policy), follow=True)
    assert "has nightly as it is here" in text(answer)
    assert alices.post(url("policy_delete", policy), {"typed_name": "else"}).status_code == 422
    alices.post(url("policy_delete", policy), {"typed_name": "nightly"})
    said = text(alices.get(url("cluster_schedule", east)))
    assert "Deleting" in said
    assert "Run now" not in said


def test_a_location_says_which_policies_use_it(alices: Client, east: Cluster, store: BackupLocation) -> None:
    put(east, store)
    for page in ("location_detail", "location_delete"):
        assert "nightly" in text(alices.get(url(page, store)))
    assert alices.post(url("location_delete", store), {"typed_name": store.name}).status_code == 422


def test_a_viewer_sees_and_changes_nothing(
    client: Client, project: Project, east: Cluster, store: BackupLocation
) -> None:
    policy = put(east, store)
    client.force_login(person("viewer", role=ProjectViewer, on=project))
    for page, row in (("cluster_schedule", east), ("policy_detail", policy)):
        body = client.get(url(page, row)).content.decode()
        assert "nightly" in body
        assert url("policy_run", policy) not in body
        assert url("policy_edit", policy) not in body
    assert client.post(url("policy_run", policy)).status_code == 403


def test_to_strangers_there_is_no_policy(client: Client, charlie: User, east: Cluster, store: BackupLocation) -> None:
    policy = put(east, store)
    client.force_login(charlie)
    assert client.get(url("policy_detail", policy)).status_code == 404
    assert client.post(url("policy_pause", policy), {"paused": "yes"}).status_code == 404
