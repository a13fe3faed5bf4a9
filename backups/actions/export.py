"""A backup or restore as Velero knows it: the object and the command that asks for the same."""

from __future__ import annotations

from typing import Any

import yaml

from backups.models import Backup, PlacedLocation, Restore
from backups.reconcile import backup as backups
from backups.reconcile import restore as restores
from backups.velero.command import command

UNSEEN = ("managedFields",)


def as_yaml(wish: Backup | Restore) -> str:
    """The object as it was last seen in the cluster; what was asked for while it has not ended."""
    raw = dict(wish.resource or _manifest(wish))
    raw["metadata"] = {key: value for key, value in raw["metadata"].items() if key not in UNSEEN}
    return str(yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))


def as_command(wish: Backup | Restore) -> str:
    """The equivalent `velero` command."""
    return command(_manifest(wish))


def _manifest(wish: Backup | Restore) -> dict[str, Any]:
    if isinstance(wish, Restore):
        return dict(restores.manifest(wish))
    placed = PlacedLocation.objects.filter(location=wish.location, cluster=wish.cluster, source=wish.cluster).first()
    return dict(backups.manifest(wish, placed or PlacedLocation(object_name="made-on-first-use")))
