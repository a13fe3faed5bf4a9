"""A look at a cluster's volumes on behalf of a form, against a simulated API server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups.models import CheckState, VolumePreview
from backups.reconcile import volumes
from tests.fakes.apiserver import FakeApiServer, Fault, Right, User
from tests.unit.backups.reconcile.conftest import Site, claim, fresh
from workspaces.models import Cluster

pytestmark = pytest.mark.django_db
TRUE = {"velero.io/csi-volumesnapshot-class": "true"}


@pytest.fixture
def site(east: Site) -> Site:
    """A shop with a CSI volume, and a claim that nothing has bound; Velero takes CSI snapshots."""
    args = {"containers": [{"name": "velero", "args": ["server", "--features=EnableCSI"]}]}
    deployment = {"metadata": {"name": "velero", "namespace": "velero"}, "spec": {"template": {"spec": args}}}
    bound = {"phase": "Bound", "capacity": {"storage": "8Gi"}}
    spec = {"volumeName": "pv-1", "storageClassName": "fast"}
    east.fake.put("deployments", deployment)
    east.fake.put("storageclasses", {"metadata": {"name": "fast"}, "provisioner": "csi.shop"})
    east.fake.put("volumesnapshotclasses", {"metadata": {"name": "daily", "labels": TRUE}, "driver": "csi.shop"})
    east.fake.put("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": {"csi": {"driver": "csi.shop"}}})
    for namespace in ("shop", "other"):
        east.fake.put("namespaces", {"metadata": {"name": namespace}})
    put_claim(east, "orders", "shop", spec=spec, status=bound)
    put_claim(east, "waiting", "other", spec={}, status={"phase": "Pending"})
    return east


def put_claim(site: Site, name: str, namespace: str, **fields: Any) -> None:
    site.fake.put("persistentvolumeclaims", {"metadata": {"name": name, "namespace": namespace}, **fields})


def previewed(site: Site, **fields: Any) -> VolumePreview:
    row = VolumePreview.objects.create(project=site.row.project, cluster=site.fresh(), **fields)
    volumes.preview(claim(row))
    return fresh(row)


def methods(row: VolumePreview) -> dict[str, str]:
    assert row.state == CheckState.COMPLETED, row.message
    return {one["name"]: one["method"] for one in row.plan["claims"]}


def test_every_claim_gets_its_method(site: Site) -> None:
    row = previewed(site)
    assert methods(row) == {"waiting": "not_saved", "orders": "csi_snapshot"}
    assert (row.plan["counts"], row.plan["total"]) == ({"not_saved": 1, "csi_snapshot": 1}, 2)
    assert row.plan["claims"][1] == {
        "namespace": "shop", "name": "orders", "storage_class": "fast", "size": "8Gi", "method": "csi_snapshot",
        "reason": "Snapshot class daily.", "remedy": "",
    }  # fmt: skip


def test_only_in_the_namespaces_asked_for(site: Site) -> None:
    assert methods(previewed(site, namespaces=["shop"])) == {"orders": "csi_snapshot"}


def test_without_disks(site: Site) -> None:
    assert methods(previewed(site, namespaces=["shop"], include_disks=False)) == {"orders": "not_saved"}


def test_no_more_claims_are_kept_than_are_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "MOST_SHOWN", 1)
    row = previewed(site)
    assert (len(row.plan["claims"]), row.plan["total"]) == (1, 2)


def test_what_may_not_be_listed_makes_it_unknown(site: Site) -> None:
    site.fake.users.clear()
    site.fake.add_user("fake-admin-token", User("ops", (), lambda right: right.resource != "pods"))
    row = previewed(site, namespaces=["shop"])
    assert methods(row) == {"orders": "unknown"}
    assert row.plan["claims"][0]["reason"] == "Drydock's account may not list pods."


def test_without_the_claims_it_fails_and_says_why(site: Site) -> None:
    def allows(right: Right) -> bool:
        return right.resource != "persistentvolumeclaims"

    site.fake.users.clear()
    site.fake.add_user("fake-admin-token", User("ops", (), allows))
    row = previewed(site)
    assert row.state == CheckState.FAILED and "may not list persistentvolumeclaims" in row.message


def test_a_cluster_that_is_away_is_said(site: Site, api: FakeApiServer) -> None:
    api.add_faults(Fault("status", path="persistentvolumes", status=503))
    assert previewed(site).state == CheckState.FAILED
    Cluster.objects.update(retry_at=timezone.now() + timedelta(minutes=1), state_reason="It is away.")
    assert previewed(site).message == "It is away."


def test_a_late_holder_says_nothing(site: Site) -> None:
    row = VolumePreview.objects.create(project=site.row.project, cluster=site.row)
    late = claim(row)
    VolumePreview.objects.update(attempt=9)
    volumes.preview(late)
    assert (fresh(row).state, fresh(row).plan) == (CheckState.REQUESTED, {})


def test_old_ones_are_removed(site: Site) -> None:
    for age in (timedelta(0), volumes.LIVES + timedelta(minutes=1)):
        row = VolumePreview.objects.create(project=site.row.project, cluster=site.row)
        VolumePreview.objects.filter(pk=row.pk).update(created_at=timezone.now() - age)
    assert volumes.purge_previews() == 1
    assert VolumePreview.objects.count() == 1
