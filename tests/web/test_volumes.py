"""What becomes of each volume, on the form of *Backup now*: asked by a script or by a button, one person's own."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.actions import add_tenant_admin
from accounts.models import AuditEvent, Tenant, User
from backups.models import Backup, BackupLocation, CheckState, VolumePreview
from tests.web.test_backup import posted
from workspaces.models import Cluster

pytestmark = pytest.mark.django_db
PLAN = {
    "claims": [
        {"namespace": "shop", "name": "orders", "storage_class": "fast", "size": "8Gi", "method": "not_saved",
         "reason": "No snapshot class.", "remedy": "Label <one>."},
        {"namespace": "shop", "name": "invoices", "storage_class": "", "size": "", "method": "csi_snapshot",
         "reason": "Snapshot class daily.", "remedy": ""},
    ],
    "counts": {"not_saved": 1, "csi_snapshot": 2}, "total": 3, "notes": ["Velero refuses every backup."],
}  # fmt: skip


def url(cluster: Cluster) -> str:
    return f"/clusters/{cluster.pk}/backups/create/"


def asked(client: Client, cluster: Cluster, store: BackupLocation, **fields: Any) -> VolumePreview:
    """What the script's question leaves behind."""
    answer = client.post(url(cluster), posted(store, do="volumes", **fields), headers={"Live": "1"})
    preview = VolumePreview.objects.first()
    assert preview is not None, answer.content.decode()
    assert f'<live-fragment src="/volume-previews/{preview.pk}/" interval="300"' in answer.content.decode()
    assert "<html" not in answer.content.decode()
    return preview


def completed(preview: VolumePreview, **plan: Any) -> VolumePreview:
    preview.write(state=CheckState.COMPLETED, plan=PLAN | plan)
    return preview


def shown(client: Client, preview: VolumePreview) -> str:
    return str(client.get(f"/volume-previews/{preview.pk}/", headers={"Live": "1"}).content.decode())


def test_the_page_itself_asks_nothing(alices: Client, east: Cluster, store: BackupLocation) -> None:
    page = alices.get(url(east)).content.decode()
    assert "What becomes of each volume" in page and VolumePreview.objects.count() == 0


def test_a_script_asks_and_gets_the_part(
    alices: Client,
    alice: User,
    east: Cluster,
    store: BackupLocation,
    sent: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        preview = asked(alices, east, store, known=["shop"], others="intranet", include_disks="")
    assert (preview.namespaces, preview.include_disks, preview.requested_by) == (["intranet", "shop"], False, alice)
    assert sent == [("backups.jobs.preview_volumes", str(preview.pk), 0, "interactive")]
    assert Backup.objects.count() == 0
    assert not AuditEvent.objects.filter(target_id=str(preview.pk)).exists()


def test_the_result_is_shown_claim_by_claim(alices: Client, east: Cluster, store: BackupLocation) -> None:
    preview = asked(alices, east, store)
    assert "Looking at the volumes of harbor-east" in shown(alices, preview)
    part = shown(alices, completed(preview))
    for text in ("1 Not saved", "2 CSI snapshot", "orders", "shop · 8Gi · fast", "No snapshot class.", "size unknown"):
        assert text in part
    assert "Label &lt;one&gt;." in part and "Velero refuses every backup." in part
    assert "The first 2 of 3 claims are shown" in part


def test_a_cluster_without_claims(alices: Client, east: Cluster, store: BackupLocation) -> None:
    part = shown(alices, completed(asked(alices, east, store), claims=[], counts={}, total=0, notes=[]))
    assert "There is no volume claim" in part and "<table" not in part


def test_a_failure_is_said_and_asked_again(alices: Client, east: Cluster, store: BackupLocation) -> None:
    preview = asked(alices, east, store)
    preview.write(state=CheckState.FAILED, message="The cluster is away.")
    assert "The cluster is away. You can ask for the backup all the same." in shown(alices, preview)
    assert asked(alices, east, store).pk != preview.pk


def test_the_same_question_twice_is_one_look(alices: Client, east: Cluster, store: BackupLocation) -> None:
    first = asked(alices, east, store)
    assert asked(alices, east, store).pk == first.pk
    assert asked(alices, east, store, cluster_resources="never").pk != first.pk


def test_without_a_script_the_button_brings_the_form_back(alices: Client, east: Cluster, store: BackupLocation) -> None:
    form = posted(store, do="volumes", known=["shop"], name="as-typed")
    page = alices.post(url(east), form).content.decode()
    assert "as-typed" in page and "Press “Look up now” again" in page
    completed(VolumePreview.objects.get())
    page = alices.post(url(east), form).content.decode()
    assert "as-typed" in page and "2 CSI snapshot" in page
    assert (VolumePreview.objects.count(), Backup.objects.count()) == (1, 0)


def test_what_no_namespace_can_be_called_is_said(alices: Client, east: Cluster, store: BackupLocation) -> None:
    answer = alices.post(url(east), posted(store, do="volumes", others="no_underscores"), headers={"Live": "1"})
    assert "cannot be a namespace" in answer.content.decode()
    assert VolumePreview.objects.count() == 0


def test_it_is_its_creators_alone(
    alices: Client, client: Client, tenant: Tenant, charlie: User, east: Cluster, store: BackupLocation
) -> None:
    preview = asked(alices, east, store)
    bob = add_tenant_admin(by=None, tenant=tenant, email="bob@harbor.example", password="x" * 12)
    for other in (bob, charlie):
        client.force_login(other)
        assert client.get(f"/volume-previews/{preview.pk}/", headers={"Live": "1"}).status_code == 404


def test_its_address_leads_to_the_form(alices: Client, east: Cluster, store: BackupLocation) -> None:
    preview = asked(alices, east, store)
    assert alices.get(f"/volume-previews/{preview.pk}/")["Location"] == url(east)
    assert alices.post(f"/volume-previews/{preview.pk}/").status_code == 405


def test_somebody_elses_cluster_is_not_looked_at(
    client: Client, charlie: User, east: Cluster, store: BackupLocation
) -> None:
    client.force_login(charlie)
    assert client.post(url(east), posted(store, do="volumes")).status_code == 404
    assert VolumePreview.objects.count() == 0
