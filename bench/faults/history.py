"""What happened to every wish, written by the database itself: no process that is killed can leave anything out.

A trigger on each table of wishes notes state, attempt and due time before and after every change. From it come the
story of a row whose invariant was broken, and the invariants on steps: none backward, attempts never fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from backups.lifecycle import State, may_become
from backups.models import Backup, Restore, VeleroWish

MODELS: tuple[type[VeleroWish], ...] = (Backup, Restore)
_TABLE = """CREATE TABLE campaign_history (
    n {serial}, at {moment}, wish text, state_before text, state_after text, attempt_before integer,
    attempt_after integer, due_before text, due_after text, message text)"""
_COLUMNS = "wish, state_before, state_after, attempt_before, attempt_after, due_before, due_after, message"
_VALUES = (
    "CAST(NEW.id AS text), OLD.state, NEW.state, OLD.attempt, NEW.attempt, CAST(OLD.due_at AS text), "
    "CAST(NEW.due_at AS text), NEW.message"
)
_SQLITE = """CREATE TRIGGER history_of_{table} AFTER UPDATE ON {table}
BEGIN INSERT INTO campaign_history (at, {columns}) VALUES (strftime('%Y-%m-%d %H:%M:%f', 'now'), {values}); END"""
_POSTGRES = """CREATE FUNCTION note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO campaign_history (at, {columns}) VALUES (clock_timestamp(), {values}); RETURN NEW; END $$;
CREATE TRIGGER history_of_{table} AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION note_{table}()"""


@dataclass(frozen=True)
class Step:
    """One change of a row, as the database saw it."""

    at: str
    wish: str
    before: str
    after: str
    attempt_before: int
    attempt_after: int
    due_before: str | None
    due_after: str | None
    message: str

    @property
    def legal(self) -> bool:
        """I6: no backward step, no attempt taken back."""
        onward = self.before == self.after or may_become(State(self.before), State(self.after))
        return onward and self.attempt_after >= self.attempt_before

    @property
    def claimed(self) -> bool:
        """Whether a worker took the row with this step."""
        return self.attempt_after > self.attempt_before

    def line(self) -> str:
        return (
            f"    {self.at}  {self.before} → {self.after}  attempt {self.attempt_before} → {self.attempt_after}  "
            f"due {self.due_after}  {self.message[:120]}"
        )


def install() -> None:
    """Begin to note. Once per database."""
    lite = connection.vendor == "sqlite"
    serial, moment = ("integer PRIMARY KEY", "text") if lite else ("bigserial PRIMARY KEY", "timestamptz")
    with connection.cursor() as cursor:
        cursor.execute(_TABLE.format(serial=serial, moment=moment))
        for model in MODELS:
            template = _SQLITE if lite else _POSTGRES
            cursor.execute(template.format(table=model._meta.db_table, columns=_COLUMNS, values=_VALUES))


def steps(wish: VeleroWish | None = None) -> list[Step]:
    """All that was noted, oldest first; of one row if given."""
    where, values = ("WHERE wish = %s", [_key(wish)]) if wish else ("", [])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CAST(at AS text), {_COLUMNS} FROM campaign_history {where} ORDER BY n", values)
        return [Step(*row) for row in cursor.fetchall()]


def _key(wish: VeleroWish) -> str:
    return wish.pk.hex if connection.vendor == "sqlite" else str(wish.pk)


def story(wish: VeleroWish) -> str:
    """What happened to a row, one line a change."""
    head = f"  {wish._meta.model_name} {wish} {wish.pk} made {wish.created_at:%H:%M:%S.%f} in {_where(wish)}"
    now = f"    now {wish.state}, attempt {wish.attempt}, due {wish.due_at}, phase {wish.phase!r}: {wish.message}"
    return "\n".join([head, *(step.line() for step in steps(wish)), now])


def _where(wish: Any) -> str:
    return f"{wish.cluster} as {wish.object_name}"


def backward() -> list[Step]:
    """Steps that no row may take."""
    return [step for step in steps() if not step.legal]


def wishes() -> Iterator[VeleroWish]:
    """Every backup and restore."""
    for model in MODELS:
        yield from model._default_manager.select_related("cluster")
