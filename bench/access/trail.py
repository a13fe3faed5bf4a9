"""S9: whoever edits, removes or moves any single row of the sealed audit log is found, by SQL beside the console.

That a change and a denial leave one row each is asked of every action by its own tests, and that PostgreSQL keeps the
console's user from changing rows by the tests that run there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

from bench.access.database import in_memory
from bench.report import Report

ROWS = 200
Harm = Callable[[Any, list[int], random.Random], None]


def check(*, full: bool, seed: int) -> Report:
    """Each kind of harm 200 times at full size, 40 reduced; each is undone before the next."""
    report, times = Report("S9", "a touched audit log is found", full), 200 if full else 40
    chance = random.Random(seed)
    with in_memory():
        rows = sealed()
        report.say("rows", len(rows), ">= 200")
        report.say("untouched_found", is_found(lambda *_: None, rows, chance), "= 0")
        for name, harm in HARMS.items():
            found = sum(is_found(harm, rows, chance) for _ in range(times))
            report.say(f"{name}_found", found / times, "= 1", n=times)
        with mock.patch("accounts.chain.hmac.compare_digest", lambda *_: True):
            blind = is_found(_edited, rows, chance)
        report.control("codes that nobody compares", failed=not blind, detail="an edit was not found")
    return report


def sealed() -> list[int]:
    """The ids of a log that has settled."""
    import time_machine
    from django.utils import timezone

    from accounts import audit, chain
    from accounts.actions.tenant import create_tenant
    from accounts.models import AuditEvent

    tenant = create_tenant(by=None, name="Sealed")
    for number in range(ROWS):
        audit.record(by=None, verb="tenant.look", target=tenant, number=number)
    for minutes in (0, 11, 22):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            chain.seal("one")
    return list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True))


def is_found(harm: Harm, rows: list[int], chance: random.Random) -> bool:
    """Whether anything is found after this."""
    from django.db import connection, transaction

    from accounts import chain

    with transaction.atomic():
        with connection.cursor() as cursor:
            harm(cursor, rows, chance)
        found = list(chain.findings())
        transaction.set_rollback(True)
    return bool(found)


def _edited(cursor: Any, rows: list[int], chance: random.Random) -> None:
    column = chance.choice(["actor", "verb", "target", "target_id", "outcome", "reference", "address", "at"])
    value = "2020-01-01 00:00:00+00:00" if column == "at" else "198.51.100.1"
    cursor.execute(f"UPDATE accounts_auditevent SET {column} = %s WHERE id = %s", [value, chance.choice(rows)])


def _removed(cursor: Any, rows: list[int], chance: random.Random) -> None:
    cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [chance.choice(rows)])


def _removed_with_link(cursor: Any, rows: list[int], chance: random.Random) -> None:
    victim = chance.choice(rows)
    cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [victim])
    cursor.execute("DELETE FROM accounts_auditlink WHERE event_id = %s", [victim])


def _reordered(cursor: Any, rows: list[int], chance: random.Random) -> None:
    one, other = chance.sample(rows, 2)
    for old, new in ((one, 10**6), (other, one), (10**6, other)):
        cursor.execute("UPDATE accounts_auditevent SET id = %s WHERE id = %s", [new, old])


HARMS: dict[str, Harm] = {
    "edited": _edited,
    "removed": _removed,
    "removed_with_link": _removed_with_link,
    "reordered": _reordered,
}
