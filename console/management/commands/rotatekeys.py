"""`manage.py rotatekeys`: seals every stored credential again, with the newest key of CONSOLE_KEYS.

1. Walk every table that has an encrypted field, in batches, by primary key.
2. What the newest key sealed is left alone, so that a run that was stopped is simply started again.
3. Open with whichever key fits, seal with the newest, and write on condition that the row still holds what was read:
   a credential that somebody changes meanwhile is not overwritten. Such rows are looked at once more.
4. A value that no key opens stays as it is and is named by table and row; the others go on; exit code 1 at the end.
5. A run that found something to do leaves one row in the audit log.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction

from accounts import audit
from accounts.models import Tenant
from console.lib.crypto import CannotOpen, EncryptedJSONField, KeyRing, Sealed, key_ring

BATCH = 200  # rows in one transaction: short enough not to keep other writers of SQLite waiting
PASSES = 3
EVERYBODY = Tenant(pk=uuid.UUID(int=0), name="every tenant")  # whose credentials they are; of no tenant's own log
Stored = tuple[Any, Sealed]  # a row's primary key and its value as it lies in the database


@dataclass
class Tally:
    """What became of the values of one field. `changed`: somebody else wrote the row between our look and our write."""

    resealed: int = 0
    current: int = 0
    changed: int = 0
    closed: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what became of another field's values."""
        self.resealed, self.current = self.resealed + other.resealed, self.current + other.current
        self.changed, self.closed = self.changed + other.changed, self.closed + other.closed


class Command(BaseCommand):
    help = "Seals every stored credential with the newest key of CONSOLE_KEYS. May be stopped and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help="rows in one transaction (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        ring, total = key_ring(), Tally()
        for model, column in encrypted_fields():
            tally = rotate(ring, model, column, options["batch"])
            self._report(model, column, tally)
            total.add(tally)
        _record(total)
        if total.closed:
            raise CommandError(
                f"{len(total.closed)} stored values cannot be opened with the keys in CONSOLE_KEYS; the others are "
                "done. Put the missing key into CONSOLE_KEYS and run this again, or enter the credentials again."
            )
        if total.changed:
            raise CommandError(f"{total.changed} values were changed while this ran. Run it again.")
        self.stdout.write("Every stored credential is sealed with the newest key.")

    def _report(self, model: type[models.Model], column: EncryptedJSONField, tally: Tally) -> None:
        self.stdout.write(
            f"{model._meta.db_table}.{column.name}: {tally.resealed} sealed again, {tally.current} current already, "
            f"{len(tally.closed)} cannot be opened"
        )
        for name in tally.closed:
            self.stderr.write(f"Cannot be opened: {name}")


def _record(total: Tally) -> None:
    figures = {"sealed_again": total.resealed, "not_opened": len(total.closed), "changed_meanwhile": total.changed}
    if any(figures.values()):
        outcome = "failed" if total.closed or total.changed else "done"
        audit.record(by=None, verb="credentials.rotate", target=EVERYBODY, outcome=outcome, **figures)


def encrypted_fields() -> Iterator[tuple[type[models.Model], EncryptedJSONField]]:
    """Every encrypted field of every table."""
    for model in apps.get_models(include_auto_created=True):
        for column in model._meta.local_fields:
            if isinstance(column, EncryptedJSONField):
                yield model, column


def rotate(ring: KeyRing, model: type[models.Model], column: EncryptedJSONField, size: int = BATCH) -> Tally:
    """Seal this field's values with the newest key; once more where somebody else was writing."""
    total = _walk(ring, model, column, size)
    for _ in range(PASSES - 1):
        if not total.changed:
            break
        again = _walk(ring, model, column, size)
        total.resealed += again.resealed
        total.changed, total.closed = again.changed, again.closed
    return total


def _walk(ring: KeyRing, model: type[models.Model], column: EncryptedJSONField, size: int) -> Tally:
    tally = Tally()
    for batch in batches(model, column, size):
        with transaction.atomic():
            for pk, stored in batch:
                _reseal(ring, model, column, (pk, stored), tally)
    return tally


def batches(model: type[models.Model], column: EncryptedJSONField, size: int) -> Iterator[list[Stored]]:
    """All rows that hold a value, by primary key."""
    rows = model._base_manager.filter(**{f"{column.name}__isnull": False}).order_by("pk").values_list("pk", column.name)
    batch = list(rows[:size])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:size])


def _reseal(ring: KeyRing, model: type[models.Model], column: EncryptedJSONField, row: Stored, tally: Tally) -> None:
    pk, stored = row
    if ring.is_current(stored):
        tally.current += 1
        return
    place = column.place(model(pk=pk))
    try:
        fresh = Sealed(ring.seal(ring.open(stored, place), place))
    except CannotOpen:
        tally.closed.append(f"{model._meta.db_table} {pk}, {column.name}")
        return
    if replace(model, column, pk, stored, fresh):
        tally.resealed += 1
    else:
        tally.changed += 1


def replace(model: type[models.Model], column: EncryptedJSONField, pk: Any, stored: Sealed, fresh: Sealed) -> int:
    """Write `fresh` where `stored` still is; 1 when it was written, 0 when the row has changed or is gone."""
    return model._base_manager.filter(pk=pk, **{column.name: stored}).update(**{column.name: fresh})
