"""Checks of connections and locations: steps as they come, the first failure ends them, and nothing stays open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User as Person
from backups import storage
from backups.models import BackupLocation, CheckState, LocationCheck, PlacedLocation
from backups.reconcile import cluster as clusters
from backups.reconcile import location as locations
from console.lib.errors import Missing, Unreachable
from tests.fakes.apiserver import FakeApiServer, Fault, User
from tests.unit.backups.reconcile.conftest import VELERO, Site, Velero, claim, fresh
from workspaces.models import Cluster, ClusterCheck, Project
from workspaces.models.cluster import ClusterState

pytestmark = pytest.mark.django_db


def outcomes(check: ClusterCheck | LocationCheck) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in check.steps}


def steps_of(check: ClusterCheck, step: str) -> dict[str, str]:
    return next(one for one in check.steps if one["id"] == step)


class TestCluster:
    def check(self, project: Project, **fields: Any) -> ClusterCheck:
        row = ClusterCheck.objects.create(project=project, **fields)
        clusters.check(claim(row))
        return fresh(row)

    @pytest.fixture
    def new(self, api: FakeApiServer, project: Project) -> Callable[..., ClusterCheck]:
        """Checks a cluster that is not registered yet."""

        def run(name: str = "new", prepare: Callable[[Any], None] = lambda _: None, **fields: Any) -> ClusterCheck:
            fake = api.add_cluster(name, **fields)
            Velero(fake)
            prepare(fake)
            return self.check(project, kubeconfig={"kubeconfig": fake.kubeconfig(), "context": ""})

        return run

    def test_all_steps(self, new: Callable[..., ClusterCheck], api: FakeApiServer) -> None:
        deployment = {"metadata": {"name": "velero", "namespace": VELERO}, "spec": {}}
        check = new(prepare=lambda fake: fake.put("deployments", deployment))
        assert (check.state, check.message) == (CheckState.COMPLETED, "")
        assert set(outcomes(check).values()) == {"pass"}
        assert (check.facts["state"], check.facts["velero"]["version"]) == (ClusterState.HEALTHY, "v1.18.2")
        assert list(outcomes(check)) == ["kubeconfig", "reach", "identity", "rights", "velero", "storage"]
        assert check.facts["uid"] == api.clusters["new"].uid
        assert check.facts["version"] == "v1.36.3"
        assert "velero" in check.facts["namespaces"]
        assert check.finished_at is not None

    def test_what_no_row_can_hold_is_marked(self, new: Callable[..., ClusterCheck]) -> None:
        """PostgreSQL takes neither NUL nor half of a character, be it text or JSON."""

        def spoil(fake: Any) -> None:
            fake.version = {**fake.version, "gitVersion": "v1.36.3\x00"}
            fake.put("namespaces", {"metadata": {"name": "odd\ud800"}})
            fake.put("storageclasses", {"metadata": {"name": "fast\x00"}, "provisioner": "\ud800"})
            fake.put("nodes", {"metadata": {"name": "one"}, "spec": {"providerID": "o\x00d\ud800://1"}})

        check = new(prepare=spoil)
        assert check.state == CheckState.COMPLETED, check.message
        assert "\ufffd" in check.facts["version"]
        assert "\x00" not in str(check.facts) and "odd?" in check.facts["namespaces"]

    def test_an_error_with_nul_is_a_sentence(self, api: FakeApiServer, new: Callable[..., ClusterCheck]) -> None:
        api.add_faults(Fault("status", path="kube-system", status=403, message="no\x00\ud800"))
        check = new()
        assert check.state == CheckState.FAILED and check.message

    @pytest.mark.slow
    def test_without_velero(self, new: Callable[..., ClusterCheck]) -> None:
        check = new(velero=False)
        assert check.state == CheckState.COMPLETED
        assert check.facts["state"] == ClusterState.VELERO_MISSING
        assert steps_of(check, "velero")["outcome"] == "warning"
        assert "not installed" in check.message

    @pytest.mark.slow
    def test_missing_rights_are_named(self, new: Callable[..., ClusterCheck]) -> None:
        def limit(fake: Any) -> None:
            fake.users.clear()
            fake.add_user("fake-admin-token", User("ops", (), lambda right: right.resource != "secrets"))

        check = new(prepare=limit)
        assert check.state == CheckState.COMPLETED
        assert steps_of(check, "rights")["outcome"] == "warning"
        assert any("secrets" in right for right in check.facts["missing_rights"])
        assert check.facts["state"] != ClusterState.HEALTHY

    @pytest.mark.parametrize(
        ("fault", "step"),
        [
            (Fault("status", path="/version", status=503), "reach"),
            (Fault("reset_before", path="/version"), "reach"),
            (Fault("status", path="kube-system", status=403), "identity"),
            (Fault("status", path="selfsubjectaccessreviews", status=500), "rights"),
            (Fault("status", path="velero.io", status=500), "velero"),
            (Fault("status", path="storageclasses", status=503), "storage"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_the_step_that_fails_is_the_last(
        self, new: Callable[..., ClusterCheck], api: FakeApiServer, fault: Fault, step: str
    ) -> None:
        fault.times = None
        api.add_faults(fault)
        check = new()
        assert check.state == CheckState.FAILED
        assert check.steps[-1]["id"] == step
        assert check.steps[-1]["outcome"] == "fail"
        assert check.steps[-1]["cause"] in check.message

    def test_the_same_cluster_twice(self, east: Site, project: Project) -> None:
        check = self.check(project, kubeconfig={"kubeconfig": east.fake.kubeconfig(), "context": ""})
        assert check.state == CheckState.FAILED
        assert "registered in this project already, as harbor-east" in check.message

    def test_of_a_registered_one(self, east: Site, project: Project) -> None:
        Cluster.objects.update(state=ClusterState.UNREACHABLE, retry_at=timezone.now() + timedelta(minutes=1))
        check = self.check(project, cluster=east.row, velero_namespace=VELERO)
        assert check.state == CheckState.COMPLETED
        cluster = east.fresh()
        assert cluster.state == check.facts["state"] != ClusterState.UNREACHABLE
        assert cluster.facts["uid"] == east.row.uid
        assert cluster.retry_at is None

    def test_a_new_kubeconfig_that_leads_elsewhere(self, east: Site, west: Site, project: Project) -> None:
        kubeconfig = {"kubeconfig": west.fake.kubeconfig(), "context": ""}
        check = self.check(project, cluster=east.row, kubeconfig=kubeconfig)
        assert check.state == CheckState.FAILED
        assert "another cluster than harbor-east" in check.message

    def test_trying_a_new_kubeconfig_changes_nothing_yet(self, east: Site, project: Project) -> None:
        before = east.fresh().facts
        check = self.check(project, cluster=east.row, kubeconfig={"kubeconfig": east.fake.kubeconfig(), "context": ""})
        assert check.state == CheckState.COMPLETED
        assert east.fresh().facts == before

    def test_an_overtaken_one_leaves_the_row_to_its_successor(self, east: Site, project: Project) -> None:
        row = ClusterCheck.objects.create(project=project, cluster=east.row)
        late = claim(row)
        ClusterCheck.objects.update(attempt=5)
        clusters.check(late)
        assert (fresh(row).state, fresh(row).steps) == (CheckState.REQUESTED, [])


class TestRecheck:
    """A cluster whose Velero was silent at its last check is checked again by itself."""

    @pytest.fixture
    def silent(self, east: Site) -> Site:
        """Its Velero was starting when somebody looked."""
        Cluster.objects.filter(pk=east.row.pk).update(watched_by="me", facts={"state": ClusterState.DEGRADED})
        return east

    def test_until_it_is_well(self, silent: Site) -> None:
        silent.fake.put("deployments", {"metadata": {"name": "velero", "namespace": VELERO}, "spec": {}})
        assert clusters.recheck_doubtful("me") == 1
        assert clusters.recheck_doubtful("me") == 0, "the first is under way"
        check = ClusterCheck.objects.get(cluster=silent.row)
        clusters.check(claim(check))
        row = silent.fresh()
        assert (row.state, row.facts["state"]) == (ClusterState.HEALTHY, ClusterState.HEALTHY)
        ClusterCheck.objects.update(created_at=timezone.now() - timedelta(hours=1))
        assert clusters.recheck_doubtful("me") == 0

    def test_only_the_last_of_its_checks_is_kept_and_every_persons(self, silent: Site, alice: Person) -> None:
        project, past = silent.row.project, timezone.now() - timedelta(hours=1)
        for by in (None, None, alice):
            ClusterCheck.objects.create(project=project, cluster=silent.row, state="completed", requested_by=by)
        ClusterCheck.objects.update(created_at=past)
        clusters.recheck_doubtful("me")
        assert [check.requested_by for check in silent.row.checks.order_by("-created_at")] == [None, alice]

    @pytest.mark.parametrize(
        "fields", [{"watched_by": "another"}, {"retry_at": timezone.now()}, {"deregistered_at": timezone.now()}]
    )
    def test_not_what_is_anothers_or_away(self, silent: Site, fields: dict[str, Any]) -> None:
        Cluster.objects.filter(pk=silent.row.pk).update(**fields)
        assert clusters.recheck_doubtful("me") == 0

    def test_facts_learnt_at_once_by_two_are_both_kept(self, silent: Site) -> None:
        """A reconciler that has read the row before a check ended must not undo what the check found."""
        Cluster.objects.remember(silent.row.pk, {"velero": {"version": "v1"}})
        Cluster.objects.remember(silent.row.pk, {"namespaces": ["shop"]})
        assert silent.fresh().facts.keys() == {"state", "velero", "namespaces"}


@dataclass(frozen=True)
class Step:
    """As `storage.probe` gives it."""

    id: str
    title: str
    outcome: str
    cause: str = ""
    remedy: str = ""


class TestLocation:
    @pytest.fixture
    def probe(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the storage gateway finds; `targets` is what it was asked about."""
        steps = [Step("endpoint", "Reach", "pass"), Step("list", "List", "pass"), Step("write", "Write", "pass")]
        found: dict[str, Any] = {"steps": steps, "occupied": None, "targets": []}

        def run(target: storage.StorageTarget, _: object, *, thoroughly: bool, write: bool) -> Iterator[Step]:
            found["targets"].append(target)
            found.update(thoroughly=thoroughly, write=write)
            for step in found["steps"]:
                if isinstance(step, Exception):
                    raise step
                yield step

        monkeypatch.setattr(storage, "probe", run)
        monkeypatch.setattr(storage, "occupied", lambda *_, **known: found.update(known) or found["occupied"])
        return found

    def draft(self, project: Project, **fields: Any) -> LocationCheck:
        values = {"bucket": "b", "prefix": "p", "credentials": {"access_key": "A", "secret_key": "planted"}}
        row = LocationCheck.objects.create(project=project, draft=values | fields)
        locations.check(claim(row))
        return fresh(row)

    def test_it_passes(self, project: Project, probe: dict[str, Any]) -> None:
        check = self.draft(project, s3_url="https://s3.example", path_style=True)
        assert (check.state, check.message) == (CheckState.COMPLETED, "")
        assert list(outcomes(check)) == ["endpoint", "list", "unoccupied", "write"]
        (target,) = probe["targets"]
        assert (target.bucket, target.prefix, target.s3_url, target.path_style) == (
            "b",
            "p",
            "https://s3.example",
            True,
        )
        assert target.secret_key == "planted"
        assert probe["thoroughly"]

    def test_it_fails(self, project: Project, probe: dict[str, Any]) -> None:
        probe["steps"] = [
            Step("endpoint", "Reach", "pass"),
            Step("bucket", "Bucket", "fail", "No bucket.", "Make one."),
        ]
        check = self.draft(project)
        assert (check.state, check.message) == (CheckState.FAILED, "No bucket. Make one.")
        assert outcomes(check) == {"endpoint": "pass", "bucket": "fail"}

    def test_an_error_of_the_gateway_is_an_end_too(self, project: Project, probe: dict[str, Any]) -> None:
        probe["steps"] = [Unreachable("Nothing listens.", remedy="Start it.")]
        check = self.draft(project)
        assert (check.state, check.message) == (CheckState.FAILED, "Nothing listens. Start it.")

    def test_places_of_ours_are_known_when_looking_for_others(
        self, project: Project, probe: dict[str, Any], east: Site, store: BackupLocation
    ) -> None:
        PlacedLocation.objects.create(
            location=store,
            cluster=east.row,
            source=east.row,
            access="ReadWrite",
            object_name="o",
            prefix="drydock/p/uid",
        )
        self.draft(project, bucket=store.bucket)
        assert probe["known"] == {"drydock/p/uid"}

    @pytest.mark.parametrize(
        ("prefix", "outcome"),
        [("p/uid", "fail"), ("p/uid/", "fail"), ("p/uid/x", "fail"), ("p", "pass"), ("p/uid2", "pass")],
    )
    def test_nothing_goes_into_a_place_where_a_cluster_of_ours_writes(
        self,
        project: Project,
        probe: dict[str, Any],
        east: Site,
        store: BackupLocation,
        prefix: str,
        outcome: str,
    ) -> None:
        """Its Velero would find a folder that it does not know, and go Unavailable; so nothing is written to try."""
        PlacedLocation.objects.create(
            location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="o", prefix="p/uid"
        )
        seen = outcomes(self.draft(project, bucket=store.bucket, prefix=prefix))
        assert seen["unoccupied"] == outcome
        assert ("write" in seen) == (outcome == "pass")

    def test_nor_where_somebody_elses_velero_writes(self, project: Project, probe: dict[str, Any]) -> None:
        probe["occupied"] = storage.Occupation("p", "on", "p/backups/a/velero-backup.json")
        check = self.draft(project)
        assert outcomes(check) == {"endpoint": "pass", "list": "pass", "unoccupied": "fail"}
        assert "A Velero writes below “p/” already" in check.message

    def test_keys_that_may_not_list_cannot_tell(self, project: Project, probe: dict[str, Any]) -> None:
        probe["steps"][1] = Step("list", "List", "fail", "Not allowed.")
        probe["occupied"] = storage.Occupation("p", "on", "p/backups/a/velero-backup.json")
        assert outcomes(self.draft(project)) == {"endpoint": "pass", "list": "fail", "write": "pass"}

    def test_a_saved_one_shows_what_was_found(self, store: BackupLocation, probe: dict[str, Any]) -> None:
        for steps, state in (([Step("a", "A", "fail", "No.")], "unavailable"), ([Step("a", "A", "pass")], "available")):
            probe["steps"] = steps
            row = LocationCheck.objects.create(project=store.project, location=store)
            locations.check(claim(row))
            saved = BackupLocation.objects.get()
            assert (saved.state, saved.state_reason) == (state, "No." if state == "unavailable" else "")
            assert saved.checked_at is not None
        assert probe["targets"][0].secret_key == "planted-storage-secret"
        assert "unoccupied" not in outcomes(fresh(row))
        assert not probe["thoroughly"]

    def test_what_only_a_cluster_can_try_is_neither_good_nor_bad(
        self, store: BackupLocation, probe: dict[str, Any]
    ) -> None:
        probe["steps"] = [Step("a", "A", "not_checkable", "Only a cluster.", "Ask one."), Step("b", "B", "warning")]
        row = LocationCheck.objects.create(project=store.project, location=store)
        locations.check(claim(row))
        assert (fresh(row).state, fresh(row).message) == (CheckState.NOT_CHECKABLE, "Only a cluster. Ask one.")
        assert BackupLocation.objects.get().state == "unknown"
        probe["steps"].append(Step("c", "C", "fail", "Worse."))
        row = LocationCheck.objects.create(project=store.project, location=store)
        locations.check(claim(row))
        assert (fresh(row).state, fresh(row).message) == (CheckState.FAILED, "Worse.")

    def test_every_sign_in_reaches_the_gateway(self, project: Project, probe: dict[str, Any], settings: Any) -> None:
        settings.AWS_ENDPOINT_URL_STS, settings.GCS_ENDPOINT_URL = "http://127.0.0.1:1", "http://127.0.0.1:2"
        settings.OUTBOUND_ALLOW_LOOPBACK = True
        role = {"sign_in": "sts-keys", "role_arn": "arn", "external_id": "x"}
        self.draft(project, **role)
        (target,) = probe["targets"]
        assert (target.sign_in, target.role_arn, target.external_id) == ("sts-keys", "arn", "x")
        assert target.sts_url == "http://127.0.0.1:1"
        key = {"service_account": "{}"}
        self.draft(project, provider="gcp", sign_in="service-account", region="", credentials=key)
        assert (probe["targets"][1].service_account, probe["targets"][1].gcs_url) == ("{}", "http://127.0.0.1:2")

    @pytest.mark.parametrize("step", [Missing("gone"), Step("a", "A", "pass"), Step("a", "A", "fail", "No.")])
    def test_an_overtaken_one_says_nothing(self, store: BackupLocation, probe: dict[str, Any], step: object) -> None:
        row = LocationCheck.objects.create(project=store.project, location=store)
        late = claim(row)
        LocationCheck.objects.update(attempt=9)
        probe["steps"] = [step]
        locations.check(late)
        assert (fresh(row).state, fresh(row).steps) == (CheckState.REQUESTED, [])
        assert BackupLocation.objects.get().checked_at is None
