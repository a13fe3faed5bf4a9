"""RQ entry points. Each takes a row's key and an attempt, claims the row, and hands it to `reconcile`.

Imported by every worker before it forks, so that a job does not spend two seconds importing SDKs.
"""

from __future__ import annotations

from backups.models import Backup, LocationCheck, Reading, Restore
from backups.reconcile import backup as backups
from backups.reconcile import cluster as clusters
from backups.reconcile import location as locations
from backups.reconcile import reading as readings
from backups.reconcile import restore as restores
from backups.reconcile import results
from console.lib.queue import job
from workspaces.models import ClusterCheck


@job
def submit_backup(pk: str, attempt: int) -> None:
    if backup := Backup.objects.claim(pk, attempt):
        backups.submit(backup)


@job
def submit_restore(pk: str, attempt: int) -> None:
    if restore := Restore.objects.claim(pk, attempt):
        restores.submit(restore)


@job
def check_location(pk: str, attempt: int) -> None:
    if check := LocationCheck.objects.claim(pk, attempt):
        locations.check(check)


@job
def check_cluster(pk: str, attempt: int) -> None:
    if check := ClusterCheck.objects.claim(pk, attempt):
        clusters.check(check)


@job
def read(pk: str, attempt: int) -> None:
    if reading := Reading.objects.claim(pk, attempt):
        readings.read(reading)


@job
def read_results(pk: str, attempt: int) -> None:
    for model in (Backup, Restore):
        if wish := model.objects.filter(pk=pk, attempt=attempt, results__isnull=True).first():
            results.read(wish)


@job
def tidy_restore(pk: str, attempt: int) -> None:
    if restore := Restore.objects.filter(pk=pk, attempt=attempt, tidied_at=None).first():
        restores.tidy(restore)
