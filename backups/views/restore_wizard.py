"""Restore: target cluster → options → review → Confirm Restore."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, get_or_404
from backups.actions.restore import request_restore
from backups.forms.restore import OptionsForm, TargetForm
from backups.models import Backup
from backups.views.backup import backup_or_404
from workspaces import wizard
from workspaces.models import Draft
from workspaces.wizard import Step, Wizard


@require_GET
def restore_begin(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """*Restore* on a backup: begins the wizard."""
    here = backup_or_404(request, backup, Verb.RESTORE_CREATE)
    if not here.is_restorable:
        messages.error(request, "Only a completed or partially failed backup that is still there can be restored.")
        return redirect("backup_detail", here.pk)
    return redirect(wizard.begin(RESTORE, owner=request.user, project=here.project, backup=str(here.pk)))


def _backup(draft: Draft) -> Backup:
    """The backup, while the draft's owner may restore it. Raises NotVisible, Forbidden."""
    rows = Backup.objects.select_related("cluster", "project")
    return get_or_404(draft.owner, rows, Verb.RESTORE_CREATE, uuid.UUID(draft.note("backup")))


def _target(draft: Draft, data: QueryDict | None) -> TargetForm:
    return TargetForm(data, backup=_backup(draft))


def _options(draft: Draft, data: QueryDict | None) -> OptionsForm:
    return OptionsForm(data, backup=_backup(draft))


def _about(draft: Draft) -> Mapping[str, Any]:
    backup = _backup(draft)
    return {"subject": f"{backup.name}, taken in {backup.cluster.name}", "leave_label": backup.name}


def _leave(draft: Draft) -> str:
    return reverse("backup_detail", args=[draft.note("backup")])


def _finish(draft: Draft, user: User, forms: Mapping[str, Any]) -> str:
    """Asks for the restore; the draft's id makes a second confirmation the same one."""
    backup = _backup(draft)
    target, options = forms["target"].cleaned_data["target"], forms["options"].asked()
    restore = request_restore(by=user, backup=backup, target=target, submission=draft.pk, **options)
    return reverse("restore_detail", args=[restore.pk])


def _options_summary(form: OptionsForm) -> wizard.Summary:
    cluster_resources = dict(form.fields["cluster_resources"].choices)[form.cleaned_data["cluster_resources"]]  # type: ignore[attr-defined]
    existing = dict(form.fields["existing_objects"].choices)[form.cleaned_data["existing_objects"]]  # type: ignore[attr-defined]
    return [
        ("Namespaces", ", ".join(form.namespaces()) or "All in the backup"),
        ("Include cluster resources", str(cluster_resources)),
        ("Restore PVs", "Yes" if form.cleaned_data["restore_volumes"] else "No"),
        ("Preserve node ports", "Yes" if form.cleaned_data["preserve_node_ports"] else "No"),
        ("Objects that exist already", str(existing)),
    ]


RESTORE = wizard.register(
    Wizard(
        kind="restore",
        title="Restore",
        steps=(
            Step(
                "target",
                "Target cluster",
                _target,
                template="backups/restore_target.html",
                lead="The cluster the backup is restored into: the same one, or another of this project.",
            ),
            Step(
                "options",
                "Options",
                _options,
                template="backups/restore_options.html",
                summary=_options_summary,
            ),
        ),
        finish=_finish,
        confirm="Confirm Restore",
        leave=_leave,
        about=_about,
    )
)
