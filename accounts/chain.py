"""The audit log's hash chain: what seals its rows, and what finds that somebody has touched them since.

Sealing, by one process at a time, so that nobody who writes a row waits for another:
1. Take the lease on the chain's head, and lock it. A head that is not as we left it is not carried on.
2. Read the rows that have no link yet, in the order of their ids. A transaction may commit a lower id after a higher
   one was sealed; so rows are looked for from `settled` on, up to which every id has been decided for longer than any
   transaction lasts.
3. Give each the next number and a code: HMAC-SHA256 over the number, the code before it and everything in the row. Its
   key is the chain's own, encrypted under CONSOLE_KEYS: a database user cannot make one.
4. Write number and code of the last link into the head, with a code over them.
5. Look at some of the older links again, going round, so that trouble shows without anybody asking.

What this proves: no sealed row was changed, removed or put elsewhere; none was put among rows that have settled; and
the end is where the head says. What it cannot: rows not sealed yet (the last seconds) may be changed unseen. Who can
insert may add rows at the end, as the console does. Who can put an older copy of the whole log back, head included, or
has CONSOLE_KEYS as well, is found only by a head noted elsewhere: each seal logs it, `verifyaudit --head` compares it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import AuditChain, AuditEvent, AuditLink
from console.lib.errors import ConsoleError
from console.lib.keys import new_key

log = structlog.get_logger(__name__)

HEAD = 1  # the primary key of the only head
LEASE = timedelta(seconds=30)
SETTLE = timedelta(minutes=10)  # no transaction that writes an audit row stays open for so long
LATE = timedelta(minutes=5)  # so long without a look, and no reconciler is sealing
BATCH = 1000  # rows sealed at once
SLICE = 200  # older links looked at again after each seal
LONGEST_TROUBLE = 2000
# A new column is sealed by a new kind of code only: with it in here, no row sealed before would fit.
FIELDS = (
    *("id", "at", "tenant_id", "project_id", "actor_id", "actor", "verb", "target_kind", "target_id", "target"),
    *("outcome", "address", "reference", "details"),
)


class Broken(ConsoleError):
    """The chain cannot be carried on: its head is missing or altered."""


@dataclass(frozen=True)
class Seal:
    """What people are told of the chain: when somebody last looked for rows to seal, and whether any was altered."""

    at: datetime | None
    altered: bool

    @property
    def late(self) -> bool:
        return self.at is None or timezone.now() - self.at > LATE


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was sealed. `event` is the row's id, None where only its place is known."""

    event: int | None
    says: str

    def __str__(self) -> str:
        return f"audit row {self.event}: {self.says}" if self.event is not None else self.says


# Sealing


def seal(holder: str, most: int = BATCH) -> int:
    """Seal what is there, unless another process does; how many rows. Raises Broken, and CannotOpen without the key."""
    _ensure_head()
    if not AuditChain.objects.lease(holder, LEASE):
        return 0
    try:
        return _seal(holder, most)
    except Broken as error:  # said on the page as well, outside of what was undone
        AuditChain.objects.filter(pk=HEAD).update(trouble=error.message[:LONGEST_TROUBLE])
        raise


@transaction.atomic
def _seal(holder: str, most: int) -> int:
    head = AuditChain.objects.select_for_update().get(pk=HEAD)
    if head.holder != holder:
        return 0
    _refuse_altered(head)
    sealed = _extend(head, list(AuditEvent.objects.unsealed(head.settled)[:most]), most)
    _look_again(head)
    head.save(update_fields=[field.name for field in AuditChain._meta.fields if field.name not in ("id", "key")])
    if sealed:
        noted = head_of(head)
        transaction.on_commit(lambda: log.info("audit sealed", rows=sealed, head=noted))
    return sealed


def _ensure_head() -> None:
    """The first head. A log that has links already does not get another one."""
    if AuditChain.objects.filter(pk=HEAD).exists():
        return
    if AuditLink.objects.exists():
        raise Broken("The head of the audit log's chain is missing.", remedy="Run manage.py verifyaudit.")
    fresh = AuditChain(pk=HEAD, key=new_key())
    fresh.code = _head_code(fresh)
    AuditChain.objects.bulk_create([fresh], ignore_conflicts=True)  # two processes at once make one


def _refuse_altered(head: AuditChain) -> None:
    amiss = [str(finding) for finding in _of_head(head)]
    if AuditLink.objects.filter(number__gt=head.number).exists():
        amiss.append("the chain goes on behind its head")
    if amiss:
        raise Broken(f"The audit log is not sealed any more: {', '.join(amiss)}.", remedy="Run manage.py verifyaudit.")


def _extend(head: AuditChain, events: Sequence[AuditEvent], most: int) -> int:
    links = []
    for event in events:
        head.number, head.last = head.number + 1, _code(_key(head), head.number + 1, head.last, event)
        links.append(AuditLink(number=head.number, event_id=event.pk, code=head.last))
    AuditLink.objects.bulk_create(links)
    head.sealed_at = timezone.now()
    _settle(head, everything_seen=len(events) < most)
    head.code = _head_code(head)
    return len(links)


def _settle(head: AuditChain, *, everything_seen: bool) -> None:
    """An id is decided once we have looked a while after it, or a higher one, was there."""
    if head.settling_since and timezone.now() - head.settling_since >= SETTLE and everything_seen:
        head.settled, head.settling_since = head.settling, None
    if head.settling_since is None:
        highest = AuditLink.objects.aggregate(highest=Max("event_id"))["highest"]
        head.settling, head.settling_since = max(highest or 0, head.settled), timezone.now()


def _look_again(head: AuditChain) -> None:
    found = list(_walk(head, head.checked, SLICE))
    head.checked = head.checked + SLICE if head.checked + SLICE < head.number else 0
    if found:
        note_trouble(head, found)


def note_trouble(head: AuditChain, found: Sequence[Finding]) -> None:
    """Keep in the head, unsaved, what was found. It stays until `verifyaudit` finds nothing."""
    said = head.trouble.splitlines()
    fresh = [line for line in map(str, found) if line not in said]
    head.trouble = "\n".join([*said, *fresh])[:LONGEST_TROUBLE]
    for line in fresh:
        log.error("audit log altered", finding=line)


# Checking


def last_seal() -> Seal:
    """What the last seal, and the walk that goes with it, have found."""
    head = AuditChain.objects.defer("key").filter(pk=HEAD).first()
    if head is None:
        return Seal(None, altered=AuditLink.objects.exists())
    return Seal(head.sealed_at, altered=bool(head.trouble))


def findings(noted: str = "") -> Iterator[Finding]:
    """Everything that is not as it was sealed. `noted` is a head (`NUMBER:CODE`) that the log must still contain."""
    head = AuditChain.objects.filter(pk=HEAD).first()
    if head is None:
        if noted or AuditLink.objects.exists():
            yield Finding(None, "the chain's head is missing")
        return
    yield from _of_head(head)
    yield from _walk(head, 0, None)
    yield from _inserted(head)
    if noted and not AuditLink.objects.filter(number=_number(noted), code=noted.partition(":")[2]).exists():
        yield Finding(None, f"the head noted elsewhere, {noted[:100]}, is not in the chain")


def _of_head(head: AuditChain) -> Iterator[Finding]:
    """The head is as we wrote it, and the chain leads to it. It may go on meanwhile, while somebody seals."""
    if not hmac.compare_digest(head.code, _head_code(head)):
        yield Finding(None, "the chain's head was changed")
    if head.number and _link_at(head.number) != head.last:
        yield Finding(None, f"the chain does not lead to place {head.number}, its end: it was cut off or replaced")


def _walk(head: AuditChain, after: int, most: int | None) -> Iterator[Finding]:
    """The links from `after` on, each with its row, against its own code and the code before it."""
    key, before = _key(head), _link_at(after)
    expected = after + 1
    links = AuditLink.objects.filter(number__gt=after).order_by("number")
    for link, event in _with_events(islice(links.iterator(BATCH), most)):
        for number in range(expected, min(link.number, expected + BATCH)):
            yield Finding(None, f"place {number} of the chain is missing: a row was removed")
        if event is None:
            yield Finding(link.event_id, "was removed")
        elif link.number > expected:
            pass  # beside a gap: the code it was made with is not known
        elif not hmac.compare_digest(link.code, _code(key, link.number, before, event)):
            yield Finding(link.event_id, "was changed, or is not in its place")
        expected, before = link.number + 1, link.code


def _link_at(number: int) -> str:
    found = AuditLink.objects.filter(number=number).first()
    return found.code if found else ""


def _with_events(links: Iterator[AuditLink]) -> Iterator[tuple[AuditLink, AuditEvent | None]]:
    while batch := list(islice(links, BATCH)):
        events = AuditEvent.objects.in_bulk([link.event_id for link in batch])
        yield from ((link, events.get(link.event_id)) for link in batch)


def _inserted(head: AuditChain) -> Iterator[Finding]:
    """Rows that appeared where no row could any more."""
    for event in AuditEvent.objects.unsealed(-(2**63)).filter(pk__lte=head.settled).iterator(BATCH):
        yield Finding(event.pk, "was put in after the rows beside it were sealed")


def unsealed() -> int:
    """How many rows wait for the next seal."""
    head = AuditChain.objects.filter(pk=HEAD).first()
    return AuditEvent.objects.unsealed(head.settled if head else 0).count()


def head_of(head: AuditChain) -> str:
    """`NUMBER:CODE`, to be noted where no database user can write."""
    return f"{head.number}:{head.last}"


def _number(noted: str) -> int:
    number = noted.partition(":")[0]
    return int(number) if number.isdecimal() and len(number) < 19 else -1


# Codes


def _key(head: AuditChain) -> bytes:
    return base64.b64decode(head.key)


def _code(key: bytes, number: int, before: str, event: AuditEvent) -> str:
    values = [_plain(getattr(event, name)) for name in FIELDS]
    return _hmac(key, ["row", number, before, *values])


def _head_code(head: AuditChain) -> str:
    return _hmac(_key(head), ["head", head.number, head.last, head.settled])


def _hmac(key: bytes, said: Sequence[Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _plain(value: Any) -> Any:
    """As JSON can say it, the same whatever database it came from."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value if value is None or isinstance(value, int | dict | list) else str(value)
