"""Every action writes exactly one audit row, by the person, in the tenant, without a secret, or nothing happened."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups.actions import backup as backup_actions
from backups.actions import location as location_actions
from backups.actions import location_delete as delete_actions
from backups.actions import policy as policy_actions
from backups.actions import policy_drift as drift_actions
from backups.actions import reading as reading_actions
from backups.actions import restore as restore_actions
from backups.lifecycle import State
from backups.models import (
    Backup,
    BackupPolicy,
    CheckState,
    LocationChange,
    LocationCheck,
    PlacedLocation,
    PolicyChange,
)
from console.lib.errors import NotVisible
from tests.conftest import make_cluster, make_location
from tests.unit.console.kube import kubeconfigs
from workspaces.actions import cluster as cluster_actions
from workspaces.actions import project as project_actions
from workspaces.actions import workspace as workspace_actions
from workspaces.models import ClusterCheck, Project, Workspace

pytestmark = pytest.mark.django_db
SECRETS = ("planted", kubeconfigs.TOKEN)
KEYS = {"access_key": "AKIAPLANTED", "secret_key": "planted-storage-secret"}
OBJECT = {"kind": "v1/Secret", "namespace": "shop", "name": "keys"}
MODULES = (
    *(backup_actions, restore_actions, location_actions, delete_actions, reading_actions, cluster_actions),
    *(project_actions, workspace_actions, policy_actions, drift_actions),
)
Prepared = Callable[[], object]


class Scene:
    """Everything an action may need, made before the audit rows are counted."""

    def __init__(self, by: User, project: Project) -> None:
        self.by, self.project = by, project
        self.cluster = make_cluster(project, "harbor-east", uid="uid-1")
        self.target = make_cluster(project, "harbor-west")
        self.location = make_location(project)
        self.workspace = Workspace.objects.create(project=project, name="shop")
        self.empty = Project.objects.create(tenant=project.tenant, name="Empty")
        self.backup = Backup.objects.create(
            project=project,
            cluster=self.cluster,
            location=self.location,
            name="done",
            object_name="done-1",
            keep_for=timedelta(days=1),
            state=State.COMPLETED,
        )
        self.spare, self.leaving = (make_location(project, name, bucket=name) for name in ("spare", "leaving"))
        for location in (self.spare, self.leaving):
            for cluster in (self.cluster, self.target):
                where = {"location": location, "cluster": cluster, "source": cluster, "access": "ReadWrite"}
                PlacedLocation.objects.create(**where, object_name=f"{location}-{cluster}", prefix="p")
        LocationChange.objects.create(
            location=self.leaving, cluster=self.cluster, kind="remove", state="failed", message="No."
        )
        self.policy, self.drifted, self.stuck = (
            BackupPolicy.objects.create(
                project=project, cluster=self.cluster, location=self.location, prefix=prefix, object_name=prefix, **more
            )
            for prefix, more in (
                ("weekly", {}),
                ("drifted", {"drift": [{"what": "Schedule"}]}),
                ("stuck", {"deleting_at": timezone.now()}),
            )
        )
        PolicyChange.objects.create(policy=self.stuck, kind="remove", message="It is away.")
        new_keys = {"credentials": KEYS | {"secret_key": "planted-new"}, "of_version": 1}
        self.edit = LocationCheck.objects.create(
            project=project, edits=self.location, draft=new_keys, state=CheckState.COMPLETED
        )
        self.tried = LocationCheck.objects.create(
            project=project, draft={"bucket": "b", "prefix": "p", "credentials": KEYS}, state=CheckState.COMPLETED
        )

    def reached(self, uid: str) -> ClusterCheck:
        kubeconfig = {"kubeconfig": kubeconfigs.text(), "context": ""}
        seen = {"uid": uid, "state": "healthy"}
        return ClusterCheck.objects.create(
            project=self.project, kubeconfig=kubeconfig, facts=seen, state="completed", finished_at=timezone.now()
        )


def calls(scene: Scene) -> dict[str, Prepared]:
    """One good call of every action."""
    by, project, cluster = scene.by, scene.project, scene.cluster
    new, same = scene.reached("uid-2"), scene.reached("uid-1")
    day, text = timedelta(days=1), kubeconfigs.text()
    return policy_calls(scene) | {
        "backup.request_backup": lambda: backup_actions.request_backup(
            by=by, cluster=cluster, location=scene.location, name="n", keep_for=day
        ),
        "restore.request_restore": lambda: restore_actions.request_restore(
            by=by, backup=scene.backup, target=scene.target
        ),
        "location.request_check": lambda: location_actions.request_check(
            by=by, project=project, bucket="b", credentials=KEYS
        ),
        "location.request_recheck": lambda: location_actions.request_recheck(by=by, location=scene.location),
        "location.create_location": lambda: location_actions.create_location(by=by, check=scene.tried, name="new"),
        "location.update_location": lambda: location_actions.update_location(by=by, check=scene.edit, name="new"),
        "location.rename_location": lambda: location_actions.rename_location(
            by=by, location=scene.location, name="new"
        ),
        "location.retry_change": lambda: location_actions.retry_change(by=by, location=scene.spare, cluster=cluster),
        "location_delete.delete_location": lambda: delete_actions.delete_location(
            by=by, location=scene.spare, typed_name="spare"
        ),
        "location_delete.forget_place": lambda: delete_actions.forget_place(
            by=by, location=scene.leaving, cluster=cluster
        ),
        "reading.request_log": lambda: reading_actions.request_log(by=by, of=scene.backup),
        "reading.request_contents": lambda: reading_actions.request_contents(by=by, of=scene.backup),
        "reading.request_object": lambda: reading_actions.request_object(by=by, of=scene.backup, subject=OBJECT),
        "reading.request_archive": lambda: reading_actions.request_archive(by=by, of=scene.backup),
        "cluster.request_check": lambda: cluster_actions.request_check(by=by, project=project, kubeconfig=text),
        "cluster.request_recheck": lambda: cluster_actions.request_recheck(by=by, cluster=cluster),
        "cluster.register_cluster": lambda: cluster_actions.register_cluster(by=by, check=new, name="new"),
        "cluster.update_cluster": lambda: cluster_actions.update_cluster(by=by, cluster=cluster, description="d"),
        "cluster.replace_kubeconfig": lambda: cluster_actions.replace_kubeconfig(by=by, cluster=cluster, check=same),
        "cluster.deregister_cluster": lambda: cluster_actions.deregister_cluster(
            by=by, cluster=cluster, typed_name=cluster.name
        ),
        "project.create_project": lambda: project_actions.create_project(by=by, tenant=project.tenant, name="new"),
        "project.rename_project": lambda: project_actions.rename_project(by=by, project=project, name="other"),
        "project.delete_project": lambda: project_actions.delete_project(by=by, project=scene.empty),
        "workspace.create_workspace": lambda: workspace_actions.create_workspace(
            by=by, project=project, name="new", clusters=[cluster]
        ),
        "workspace.update_workspace": lambda: workspace_actions.update_workspace(
            by=by,
            workspace=scene.workspace,
            name="other",
            description="d",
            clusters=[scene.target],
            namespaces=["shop"],
        ),
        "workspace.delete_workspace": lambda: workspace_actions.delete_workspace(
            by=by, workspace=scene.workspace, typed_name="shop"
        ),
    }


def policy_calls(scene: Scene) -> dict[str, Prepared]:
    """One good call of every action on a backup policy."""
    by, policy, submission = scene.by, scene.policy, uuid.uuid4()
    return {
        "policy.create_policy": lambda: policy_actions.create_policy(
            by=by, cluster=scene.cluster, prefix="p", location=scene.location, submission=submission
        ),
        "policy.update_policy": lambda: policy_actions.update_policy(by=by, policy=policy, include_disks=False),
        "policy.pause_policy": lambda: policy_actions.pause_policy(by=by, policy=policy, paused=True),
        "policy.run_policy": lambda: policy_actions.run_policy(by=by, policy=policy, submission=submission),
        "policy.delete_policy": lambda: policy_actions.delete_policy(by=by, policy=policy, typed_name="weekly"),
        "policy.retry_policy": lambda: policy_actions.retry_policy(by=by, policy=policy),
        "policy.forget_policy": lambda: policy_actions.forget_policy(by=by, policy=scene.stuck),
        "policy_drift.mend_policy": lambda: drift_actions.mend_policy(by=by, policy=scene.drifted),
        "policy_drift.adopt_drift": lambda: drift_actions.adopt_drift(by=by, policy=scene.drifted),
    }


def actions_of(module: ModuleType) -> list[str]:
    """Public functions defined there that take `by`."""
    short = module.__name__.rsplit(".", 1)[-1]
    functions = inspect.getmembers(module, inspect.isfunction)
    return [
        f"{short}.{name}"
        for name, function in functions
        if function.__module__ == module.__name__ and "by" in inspect.signature(function).parameters and name[0] != "_"
    ]


EVERY = sorted(name for module in MODULES for name in actions_of(module))


def test_no_action_is_forgotten(alice: User, project: Project) -> None:
    assert sorted(calls(Scene(alice, project))) == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_exactly_one_row(alice: User, project: Project, name: str) -> None:
    call = calls(Scene(alice, project))[name]
    before = AuditEvent.objects.count()
    call()
    assert AuditEvent.objects.count() == before + 1
    row = AuditEvent.objects.latest("id")
    assert (row.actor_id, row.tenant_id, row.outcome) == (alice.pk, project.tenant_id, "done")
    assert row.target_id
    shown = repr({key: value for key, value in vars(row).items() if key != "_state"})
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize("name", EVERY)
def test_none_after_a_rollback(alice: User, project: Project, name: str, sent: list[Any]) -> None:
    call = calls(Scene(alice, project))[name]
    before = AuditEvent.objects.count()
    with pytest.raises(RuntimeError, match="the request failed later"), transaction.atomic():
        call()
        raise RuntimeError("the request failed later")
    assert AuditEvent.objects.count() == before
    assert sent == []


@pytest.mark.parametrize("name", EVERY)
def test_a_stranger_leaves_no_trace_and_learns_nothing(alice: User, charlie: User, project: Project, name: str) -> None:
    scene = Scene(alice, project)
    scene.by = charlie
    call = calls(scene)[name]
    before = AuditEvent.objects.count()
    with pytest.raises(NotVisible, match=r"^There is nothing here\.$"):
        call()
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize("name", EVERY)
def test_a_row_that_cannot_be_written_undoes_the_action(
    alice: User, project: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not recorded did not happen."""
    call = calls(Scene(alice, project))[name]
    before = _rows()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr("accounts.audit.AuditEvent.objects.create", broken)
    with pytest.raises(RuntimeError, match="no audit"):
        call()
    assert _rows() == before


def _rows() -> dict[str, list[Any]]:
    """Everything in the tables of workspaces and backups."""
    return {
        model.__name__: sorted(map(repr, model._default_manager.values_list()))
        for app in ("workspaces", "backups")
        for model in apps.get_app_config(app).get_models()
    }
