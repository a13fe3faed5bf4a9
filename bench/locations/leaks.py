"""S4: nobody's secret lies anywhere in the clear after a whole run on real parts, a SIGKILL of its workers included.

1. The secrets are those that are really in use: keys of the stores and clouds, tokens of both kubeconfigs, the
   password of the person at work, the console's own keys, and wrong ones that were typed by mistake.
2. A person works over HTTP: signs in, at first with a wrong password; replaces a kubeconfig; adds a location of each
   kind, at first with a wrong key; backs up all of a cluster, and while that runs the workers are killed; restores it
   elsewhere; reads the logs; opens every page there is a link to. Somebody else backs up everything past the console,
   Velero's own namespace included, into the same place.
3. Everything that came of it is searched (bench.locations.haystack): the database, Valkey's files, the logs, temporary
   files, what is in the buckets, every answer that was received, and the command line and the environment of every
   process that was ever seen. Nothing may be found.
4. The controls: in Velero's namespace of the cluster, where they belong, the keys are found; and one secret that is
   planted in each of these places is found there.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import mainjob, stack
from bench.compare import open_cluster
from bench.faults.load import Visitor, ask_for_backup, ask_for_restore
from bench.locations.person import Person
from bench.locations.planted import control
from bench.locations.remains import VELERO, Processes, Remains
from bench.locations.site import folder, site
from bench.report import Report
from sandbox.clouds import stack as clouds
from sandbox.clouds.google import new_key
from sandbox.state import CLUSTERS, State

if TYPE_CHECKING:
    from backups.models import Backup, BackupLocation, Restore

EAST, WEST = CLUSTERS
ENDS_WITHIN = 60.0  # seconds
FEWEST_ANSWERS, MOST_PAGES, A_FEW = 40, 400, 60


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes."""
    report = Report("S4", "nobody's secret is anywhere in the clear", full)
    with site() as (state, url), Processes(folder()) as processes:
        day = Day(report, url, state, mainjob.register(state), Remains(folder(), state, processes))
        day.passes()
        day.remains.told(report)
        control(report, day.remains, day.visitor(), day.fleet.location)
    return report


def glance(report: Report, url: str, fleet: mainjob.Fleet, remains: Remains) -> None:
    """After something else has been done: the pages that show it are opened, and everything is searched as above."""
    day = Day(report, url, remains.state, fleet, remains)
    day.everything_by_somebody_else()
    day.look_round(day.signed_in(), A_FEW)
    remains.told(report)
    control(report, remains, day.visitor(), fleet.location)


@dataclass
class Day:
    """A person's, at a console with the sandbox's clusters registered."""

    report: Report
    url: str
    state: State
    fleet: mainjob.Fleet
    remains: Remains

    def passes(self) -> None:
        """From the sign-in to the last page."""
        person = self.signed_in()
        self._registered_again(person)
        backups = [self._backed_up(person.visitor, location) for location in self._added(person)]
        self.report.say("backups_completed", sum(backup.state == "completed" for backup in backups), "= 3")
        self.everything_by_somebody_else()
        restore = self._restored(person.visitor, backups[0])
        for page in (f"/backups/{backups[0].pk}/", f"/restores/{restore.pk}/"):
            person.read_log(page)
        self.look_round(person, MOST_PAGES)

    def look_round(self, person: Person, most: int) -> None:
        """Open every page, the nearest first."""
        opened, heard = person.open_everything(most), len(self.remains.answers)
        self.report.say("answers", heard, f">= {FEWEST_ANSWERS}", reference=f"{opened} pages by their links")

    def signed_in(self) -> Person:
        """At the second try; every answer is kept."""
        kept = Visitor(self.url, overheard=lambda path, answer: self.remains.answers.append((path, answer)))
        person = Person(kept, self.fleet.east.project_id)
        person.sign_in(stack.password(self.remains.var), self._wrong("password"))
        return person

    def visitor(self) -> Visitor:
        """Another browser of theirs."""
        visitor = Visitor(self.url)
        visitor.sign_in(stack.EMAIL, stack.password(self.remains.var))
        return visitor

    def everything_by_somebody_else(self) -> None:
        """A backup that leaves nothing out, past the console, into a place of the console's."""
        from backups.models import PlacedLocation
        from backups.velero import names

        placed = PlacedLocation.objects.filter(cluster=self.fleet.east, phase="Available").earliest("created_at")
        name, path = f"everything-{secrets.token_hex(4)}", names.path("backups", VELERO)
        spec = {"storageLocation": placed.object_name, "includeClusterResources": True, "snapshotVolumes": False}
        body = {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name}, "spec": spec}
        with open_cluster(self.state.clusters[EAST].kubeconfig) as connection:
            connection.create(path, body)
            until, phase = time.monotonic() + ENDS_WITHIN, ""
            while phase not in ("Completed", "PartiallyFailed", "Failed") and time.monotonic() < until:
                time.sleep(0.1)
                phase = connection.get(f"{path}/{name}").get("status", {}).get("phase", "")
        self.report.say("backup_of_everything", int(phase == "Completed"), "= 1", reference=phase)

    def _wrong(self, what: str) -> str:
        """What is typed by mistake; it is looked for as well."""
        return self.remains.typed.setdefault(f"wrong {what}", secrets.token_urlsafe(24))

    def _registered_again(self, person: Person) -> None:
        """harbor-east gets its kubeconfig anew."""
        text = self.state.clusters[EAST].kubeconfig.read_text()
        wrong = text.replace(self.remains.token(EAST), self._wrong("token"))
        person.replace_kubeconfig(self.fleet.east, text, wrong)

    def _added(self, person: Person) -> list[BackupLocation]:
        """A location of each kind that has secrets."""
        from backups.models import BackupLocation

        pages = [person.add_location(*typed) for typed in self._typed()]
        return [BackupLocation.objects.get(pk=page.strip("/").rpartition("/")[2]) for page in pages]

    def _typed(self) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
        """What is typed into the form, and what instead at first."""
        s3, here = self.state.s3, self.state.clouds
        assert s3 is not None
        assert here is not None
        access_key, secret_key = s3.keys()
        wrong = {"secret_key": self._wrong("secret key")}
        common = {"region": "us-east-1", "path_style": "on"}
        keys = {"access_key": access_key, "secret_key": secret_key}
        yield (
            {
                "name": "leaks-s3",
                "provider": "s3",
                "bucket": s3.bucket,
                "prefix": "leaks/s3",
                "s3_url": s3.plain_url,
                **(common | keys),
            },
            wrong,
        )
        role = {"sign_in": "sts-keys", "role_arn": clouds.VELERO, "external_id": here.external_id}
        yield (
            {
                "name": "leaks-sts",
                "provider": "aws",
                "bucket": clouds.BUCKET,
                "prefix": "leaks/sts",
                "s3_url": here.s3,
                **(common | role | here.keys()),
            },
            wrong,
        )
        google = here.google_key_file.read_text()
        yield (
            {
                "name": "leaks-google",
                "provider": "gcp",
                "bucket": clouds.BUCKET,
                "prefix": "leaks/google",
                "service_account": google,
            },
            {"service_account": self._forged()},
        )

    def _forged(self) -> str:
        """A key file of Google's that is not the account's."""
        assert self.state.clouds is not None
        text = new_key(clouds.EMAIL, f"{self.state.clouds.google}/token")[0]
        self.remains.typed["a line of a wrong private key"] = json.loads(text)["private_key"].splitlines()[5]
        return text

    def _backed_up(self, visitor: Visitor, location: BackupLocation) -> Backup:
        """All of harbor-east; the workers are killed when Velero has just been asked."""
        from backups.models import Backup

        asked = ask_for_backup(
            visitor, self.fleet.east.pk, location.pk, prefix="leaks", cluster_resources="always", namespaces=()
        )
        backup = Backup.objects.get(name=asked.name)
        if location.provider == "aws" and not location.role_arn:
            self._kill_workers(backup)
        return mainjob.finished(backup)

    def _kill_workers(self, backup: Backup) -> None:
        """As soon as one of them has taken it."""
        until = time.monotonic() + 20
        while backup.state == "requested" and time.monotonic() < until:
            time.sleep(0.002)
            backup.refresh_from_db()
        pids = stack.processes_of(self.remains.var, "rqworker")
        stack.kill(*pids)
        self.report.say("workers_killed", len(pids), ">= 1", reference=f"while the backup was {backup.state}")

    def _restored(self, visitor: Visitor, backup: Backup) -> Restore:
        from backups.models import Restore

        ask_for_restore(visitor, backup.pk, self.fleet.west.pk)
        restore: Restore = mainjob.finished(Restore.objects.get(backup=backup))
        self.report.say("restores_completed", int(restore.state == "completed"), "= 1", reference=restore.message)
        return restore
