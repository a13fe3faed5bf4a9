"""L1: every kind of location on the real stack: Validate, back up, delete the namespaces, restore, compare all objects.

Velero, its AWS and Google plugins, the API servers and the S3 server are the real programs; STS, a node's identity and
Google Cloud are the sandbox's stand-ins (sandbox/clouds). The control of a kind is the same location with one thing
wrong: it must not get as far as a backup.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from backups.velero import names
from bench import compare, demo, mainjob
from bench.locations.leaks import glance
from bench.locations.remains import Processes, Remains
from bench.locations.site import folder, site
from bench.report import Report
from console.kube.paths import core
from sandbox import control, sample
from sandbox.clouds import stack as clouds
from sandbox.clouds.google import new_key
from sandbox.state import CLUSTERS, Cluster, State

if TYPE_CHECKING:
    from backups.models import Backup, BackupLocation, LocationCheck

EAST, WEST = CLUSTERS
TRIAL = "drydock-trial-"


@dataclass(frozen=True)
class Kind:
    """`fields`: the location's. `wrong`: what the control has instead, said in `control`."""

    name: str
    fields: dict[str, Any] = field(repr=False)
    control: str
    wrong: dict[str, Any] = field(repr=False)


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes; reduced, what is left of it is searched for secrets, too, as in S4."""
    report = Report("L1", "every kind of location, from Validate to equal objects after a restore", full)
    with site() as (state, url), Processes(folder()) as processes:
        fleet = mainjob.register(state)
        _ready_west(state)
        kinds = _kinds(state)
        lanes = [_Lane(report, fleet, state, EAST), _Lane(report, replace(fleet, east=fleet.west), state, WEST)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_Lane.run, lanes, (kinds[:3], kinds[3:])))
        report.say("trials_left_in_clusters", sum(map(_trials, state.clusters.values())), "= 0")
        if not full:
            glance(report, url, fleet, Remains(folder(), state, processes))
    report.note(
        "Real: API servers, Velero and its plugins, SeaweedFS. Stand-ins: STS, a node's identity, Google Cloud."
    )
    return report


def _trials(cluster: Cluster) -> int:
    """What a Velero was shown for a moment only, and is there still."""
    with compare.open_cluster(cluster.kubeconfig) as connection:
        paths = names.locations_path("velero"), core("secrets", "velero")
        found = [one["metadata"]["name"] for path in paths for one in connection.list(path)]
    return sum(name.startswith(TRIAL) for name in found)


def _kinds(state: State) -> list[Kind]:
    s3 = state.s3
    assert s3 is not None
    access_key, secret_key = s3.keys()
    keys = {
        **_place("keys-http", s3.bucket, s3_url=s3.plain_url),
        "credentials": {"access_key": access_key, "secret_key": secret_key},
    }
    tls = {**keys, **_place("keys-tls", s3.bucket, s3_url=s3.tls_url), "ca_certificate": s3.ca_file.read_text()}
    wrong = {"credentials": {"access_key": access_key, "secret_key": "wrong"}}
    return [
        Kind("static keys over http", keys, "wrong secret key", wrong),
        Kind("static keys over TLS with a private CA", tls, "without the certificate", {"ca_certificate": ""}),
        *_kinds_of_clouds(state),
    ]


def _kinds_of_clouds(state: State) -> list[Kind]:
    here = state.clouds
    assert here is not None
    role = {"role_arn": clouds.VELERO, "external_id": here.external_id}
    by_keys = {
        **_place("sts-keys", clouds.BUCKET, s3_url=here.s3),
        **role,
        "sign_in": "sts-keys",
        "credentials": here.keys(),
    }
    own = {**_place("sts-cluster", clouds.BUCKET, s3_url=here.s3), **role, "sign_in": "sts-cluster", "credentials": {}}
    google = {
        "provider": "gcp",
        "sign_in": "service-account",
        "bucket": clouds.BUCKET,
        "prefix": "prove/google",
        "credentials": {"service_account": here.google_key_file.read_text()},
    }
    forged = new_key(clouds.EMAIL, f"{here.google}/token")[0]
    return [
        Kind("STS with keys of an account", by_keys, "another External ID", {"external_id": "somebody-elses"}),
        Kind("STS by the cluster's own identity", own, "a role that does not trust it", {"role_arn": clouds.ELSEWHERE}),
        Kind("Google Cloud", google, "a key that is not the account's", {"credentials": {"service_account": forged}}),
    ]


def _place(name: str, bucket: str, *, s3_url: str) -> dict[str, Any]:
    place = {"bucket": bucket, "prefix": f"prove/{name}", "s3_url": s3_url}
    return {"provider": "aws", "sign_in": "keys", "region": "us-east-1", "path_style": True, **place}


def _ready_west(state: State) -> None:
    """The sample application for the second cluster, too; its Velero looks for new kinds when it starts."""
    control.stop_velero(state, WEST)
    sample.apply(state.clusters[WEST].kubeconfig)
    control.start_velero(state, WEST)


@dataclass(frozen=True)
class _Lane:
    """One cluster, taken as `fleet.east`, through which some kinds go one after the other: most of it is waiting."""

    report: Report
    fleet: mainjob.Fleet
    state: State
    cluster: str

    def run(self, kinds: list[Kind]) -> None:
        from django.db import connections

        try:
            for kind in kinds:
                self._prove(kind)
                outcome = _tried(self.fleet, kind)
                name = f"{kind.name}: {kind.control}"
                self.report.control(name, failed=bool(outcome), detail=outcome or "it was taken")
        finally:
            connections.close_all()

    def _prove(self, kind: Kind) -> None:
        """One line: how many objects of how many are the same after all; 0 with the reason when it broke off."""
        say = self.report.say
        try:
            validated, location = _saved(self.fleet, kind)
            told, result = self._round(replace(self.fleet, location=location), kind)
            say(kind.name, result.equal, f"= {result.total}", n=result.total, reference=f"{validated}; {told}")
            if not result.same:
                say(f"{kind.name}: differences", 1, "= 0", reference=result.first)
        except mainjob.Failed as error:
            say(kind.name, 0, ">= 1", reference=str(error))

    def _round(self, fleet: mainjob.Fleet, kind: Kind) -> tuple[str, compare.Result]:
        """Backup, loss, restore in place: what was seen, and how the objects compare. Raises Failed."""
        kubeconfig = self.state.clusters[self.cluster].kubeconfig
        sample.apply(kubeconfig)
        with compare.open_cluster(kubeconfig) as cluster:
            originals = demo.settled(cluster)
            backup = mainjob.back_up(fleet, kind.name.replace(" ", "-").replace("'", "").lower())
            lines = _lines_of_log(fleet, backup)
            demo.remove_namespaces(cluster)
            restore = mainjob.restore(fleet, backup, fleet.east)
            result = compare.compare(originals, demo.settled(cluster))
        done = f"{self.cluster}: backup {backup.phase} {mainjob.seconds(backup):.1f} s, {lines}"
        return f"{done}, restore {restore.phase} {mainjob.seconds(restore):.1f} s", result


def _lines_of_log(fleet: mainjob.Fleet, backup: Backup) -> str:
    """How much log there is to read, and by which way it came. Raises Failed when there is none."""
    from backups.actions.reading import request_log

    reading = mainjob.completed(mainjob.finished(request_log(by=fleet.admin, of=backup)))
    if not reading.lines:
        raise mainjob.Failed("The log of the backup is empty.")
    way = "from the bucket" if fleet.location.is_checkable else "through Velero's DownloadRequest"
    return f"{reading.lines} lines of log {way}"


def _saved(fleet: mainjob.Fleet, kind: Kind) -> tuple[str, BackupLocation]:
    """What was said of it, and the location; where only the cluster can sign in its Velero is asked instead."""
    from backups.actions.location import create_location
    from backups.models import CheckState

    tried, said = _validated(fleet, kind.fields), "validated"
    if tried.state == CheckState.NOT_CHECKABLE:
        tried, said = _validated(fleet, kind.fields, asked_of=fleet.east), "judged by the cluster's Velero"
    if tried.state != CheckState.COMPLETED:
        raise mainjob.Failed(f"Validate ended as {tried.state}: {tried.message}")
    return said, create_location(by=fleet.admin, check=tried, name=kind.name)


def _validated(fleet: mainjob.Fleet, fields: dict[str, Any], **more: Any) -> LocationCheck:
    from backups.actions.location import request_check

    return mainjob.finished(request_check(by=fleet.admin, project=fleet.east.project, **fields, **more))


def _tried(fleet: mainjob.Fleet, kind: Kind) -> str:
    """How the control went wrong; empty when it did not."""
    wrong = Kind(f"{kind.name} control", kind.fields | kind.wrong, "", {})
    wrong.fields["prefix"] += "-control"
    try:
        _, location = _saved(fleet, wrong)
        mainjob.back_up(replace(fleet, location=location), "control")
    except mainjob.Failed as error:
        return str(error)
    return ""
