"""RQ entry points. Each takes a row's key and an attempt, claims the row, and hands it to `reconcile`.

Imported by every worker before it forks, so that a job does not spend two seconds importing SDKs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TypeVar, cast

from django.db import connection as database

from backups.models import (
    Backup,
    LocationChange,
    LocationCheck,
    LocationScan,
    PolicyChange,
    Reading,
    Restore,
    VolumePreview,
)
from backups.reconcile import backup as backups
from backups.reconcile import cluster as clusters
from backups.reconcile import lane as lanes
from backups.reconcile import location as locations
from backups.reconcile import location_change as changes
from backups.reconcile import policy as policies
from backups.reconcile import reading as readings
from backups.reconcile import restore as restores
from backups.reconcile import results, volumes
from backups.reconcile import scan as scans
from console.lib.queue import Job, job
from console.lib.worker import HandBack
from workspaces.models import ClusterCheck, Wish

W = TypeVar("W", bound=Wish)


def carries(model: type[W]) -> Callable[[Callable[[W], None]], Job]:
    """Makes an entry point of what carries out a row of `model`."""

    def entry_point(carry_out: Callable[[W], None]) -> Job:
        @job
        @wraps(carry_out)
        def run(pk: str, attempt: int) -> None:
            with lanes.lane(model, pk, attempt) as free:
                if free and (wish := claimed(model, pk, attempt)):
                    with handed_back(wish):
                        carry_out(wish)

        return run

    return entry_point


def claimed(model: type[W], pk: str, attempt: int) -> W | None:
    """The row, for one lease; None when somebody else has it."""
    return cast(W | None, model.objects.claim(pk, attempt))  # a manager does not know its model


@contextmanager
def handed_back(wish: Wish) -> Iterator[None]:
    """Let go of the row when the worker must end before it is done with it."""
    try:
        yield
    except HandBack:
        if not database.in_atomic_block:
            database.close()  # what was interrupted may be the connection itself
        wish.hand_back()
        raise


@carries(Backup)
def submit_backup(backup: Backup) -> None:
    backups.submit(backup)


@carries(Restore)
def submit_restore(restore: Restore) -> None:
    restores.submit(restore)


@carries(LocationCheck)
def check_location(check: LocationCheck) -> None:
    locations.check(check)


@carries(LocationScan)
def scan_location(scan: LocationScan) -> None:
    scans.scan(scan)


@carries(LocationChange)
def change_location(change: LocationChange) -> None:
    changes.carry_out(change)


@carries(PolicyChange)
def change_policy(change: PolicyChange) -> None:
    policies.carry_out(change)


@carries(ClusterCheck)
def check_cluster(check: ClusterCheck) -> None:
    clusters.check(check)


@carries(Reading)
def read(reading: Reading) -> None:
    readings.read(reading)


@carries(VolumePreview)
def preview_volumes(preview: VolumePreview) -> None:
    volumes.preview(preview)


@job
def read_results(pk: str, attempt: int) -> None:
    for model in (Backup, Restore):
        if wish := model.objects.filter(pk=pk, attempt=attempt, results__isnull=True).first():
            results.read(wish)


@job
def tidy_restore(pk: str, attempt: int) -> None:
    if restore := Restore.objects.filter(pk=pk, attempt=attempt, tidied_at=None).first():
        restores.tidy(restore)
