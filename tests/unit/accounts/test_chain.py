"""Whatever is done to a sealed log is found, and an untouched one passes. Done as a database user would: in SQL."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from accounts import audit, chain
from accounts.models import AuditChain, AuditEvent, AuditLink, Tenant
from console.lib.crypto import CannotOpen
from console.lib.keys import new_key

pytestmark = pytest.mark.django_db
ROWS = 12


def sql(text: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        assert cursor.rowcount > 0, "the change did not change anything"


@pytest.fixture
def sealed(tenant: Tenant) -> list[int]:
    """Ids of a log that is sealed, in two batches, and has settled."""
    for number in range(ROWS):
        audit.record(by=None, verb="tenant.look", target=tenant, number=number, text="ünïcode", half=0.5)
        if number == ROWS // 2:
            chain.seal("one")
    chain.seal("one")
    for minutes in (11, 22):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            chain.seal("one")
    sql("UPDATE accounts_auditchain SET until = NULL")
    return list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True))


def found() -> list[str]:
    return [str(finding) for finding in chain.findings()]


def test_an_untouched_log_passes(sealed: list[int]) -> None:
    assert AuditLink.objects.count() == len(sealed) > ROWS
    assert AuditChain.objects.get().settled == sealed[-1]
    assert found() == []
    said = io.StringIO()
    call_command("verifyaudit", stdout=said)
    assert f"rows={len(sealed)} sealed={len(sealed)} unsealed=0 findings=0 changeable=yes\n" in said.getvalue()


EDITS = {
    "actor": "somebody else",
    "verb": "x",
    "target": "x",
    "target_id": "x",
    "target_kind": "x",
    "outcome": "failed",
    "reference": "x",
    "details": '{"number": 77}',
    "address": "192.0.2.1",
    "at": "2020-01-01 00:00:00+00:00",
    "actor_id": "0" * 32,
    "tenant_id": "0" * 32,
    "project_id": "0" * 32,
    "id": 10_000,
}


def test_every_column_is_sealed() -> None:
    assert {field.name for field in AuditEvent._meta.concrete_fields} == set(chain.FIELDS) == set(EDITS)


@pytest.mark.parametrize("column", EDITS)
def test_a_changed_row_is_found(sealed: list[int], column: str) -> None:
    sql(f"UPDATE accounts_auditevent SET {column} = %s WHERE id = %s", EDITS[column], sealed[4])
    assert any(finding.startswith(f"audit row {sealed[4]}: ") for finding in found())


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_removed_row_is_found(sealed: list[int], at: int) -> None:
    sql("DELETE FROM accounts_auditevent WHERE id = %s", sealed[at])
    assert found() == [f"audit row {sealed[at]}: was removed"]


@pytest.mark.parametrize("at", [0, 5])
def test_a_row_removed_with_its_link_is_found(sealed: list[int], at: int) -> None:
    sql("DELETE FROM accounts_auditevent WHERE id = %s", sealed[at])
    sql("DELETE FROM accounts_auditlink WHERE event_id = %s", sealed[at])
    assert found() == [f"place {at + 1} of the chain is missing: a row was removed"]


def test_a_gap_that_was_closed_is_found(sealed: list[int]) -> None:
    sql("DELETE FROM accounts_auditevent WHERE id = %s", sealed[5])
    sql("DELETE FROM accounts_auditlink WHERE event_id = %s", sealed[5])
    for number in range(7, len(sealed) + 1):
        sql("UPDATE accounts_auditlink SET number = number - 1 WHERE number = %s", number)
    sql("UPDATE accounts_auditchain SET number = number - 1")
    assert any(f"audit row {sealed[6]}: " in finding for finding in found())


def test_reordered_rows_are_found(sealed: list[int]) -> None:
    one, other = sealed[3], sealed[8]
    for old, new in ((one, 99_999), (other, one), (99_999, other)):
        sql("UPDATE accounts_auditevent SET id = %s WHERE id = %s", new, old)
    assert {finding.split(":")[0] for finding in found()} == {f"audit row {one}", f"audit row {other}"}


def test_reordered_links_are_found(sealed: list[int]) -> None:
    one, other = sealed[3], sealed[8]
    for old, new in ((one, 99_999), (other, one), (99_999, other)):
        sql("UPDATE accounts_auditlink SET event_id = %s WHERE event_id = %s", new, old)
    assert {finding.split(":")[0] for finding in found()} == {f"audit row {one}", f"audit row {other}"}


@pytest.mark.parametrize("pk", [-5, 0, None])
def test_an_inserted_row_is_found_and_never_sealed(sealed: list[int], pk: int | None) -> None:
    """None: in a place that a transaction left free."""
    if pk is None:
        AuditEvent.objects.bulk_create([AuditEvent(pk=sealed[-1] + 2, actor="x", verb="x", target="x")])
        for minutes in (33, 44, 55):
            with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
                chain.seal("one")
        pk = sealed[-1] + 1
        sql("UPDATE accounts_auditchain SET until = NULL")
    AuditEvent.objects.bulk_create([AuditEvent(pk=pk, actor="planted", verb="x", target="x")])
    chain.seal("one")
    assert found() == [f"audit row {pk}: was put in after the rows beside it were sealed"]


def test_a_lower_id_that_is_committed_late_is_sealed(tenant: Tenant) -> None:
    row = audit.record(by=None, verb="tenant.look", target=tenant)
    AuditEvent.objects.bulk_create([AuditEvent(pk=row.pk + 10, actor="x", verb="x", target="x")])
    chain.seal("one")
    AuditEvent.objects.bulk_create([AuditEvent(pk=row.pk + 5, actor="late", verb="x", target="x")])
    assert chain.seal("one") == 1
    assert found() == [] and chain.unsealed() == 0


def cut(sealed: list[int]) -> None:
    sql("DELETE FROM accounts_auditevent WHERE id >= %s", sealed[-3])
    sql("DELETE FROM accounts_auditlink WHERE event_id >= %s", sealed[-3])


def cut_and_mend_the_head(sealed: list[int]) -> None:
    cut(sealed)
    end = AuditLink.objects.order_by("-number")[0]
    sql("UPDATE accounts_auditchain SET number = %s, last = %s", end.number, end.code)


def no_head(sealed: list[int]) -> None:
    sql("DELETE FROM accounts_auditchain")


@pytest.mark.parametrize("harm", [cut, cut_and_mend_the_head, no_head])
def test_a_cut_off_end_is_found_and_not_carried_on(sealed: list[int], harm: Callable[[list[int]], None]) -> None:
    harm(sealed)
    assert len(found()) == 1
    with pytest.raises(chain.Broken):
        chain.seal("one")
    assert chain.last_seal().altered


def test_an_older_copy_put_back_whole_is_found_by_a_head_noted_elsewhere(tenant: Tenant) -> None:
    audit.record(by=None, verb="tenant.look", target=tenant)
    chain.seal("one")
    older = AuditChain.objects.values("number", "last", "code", "settled").get()
    audit.record(by=None, verb="tenant.delete", target=tenant)
    chain.seal("one")
    noted = chain.head_of(AuditChain.objects.get())
    assert list(chain.findings(noted)) == []
    sql("DELETE FROM accounts_auditevent WHERE verb = 'tenant.delete'")
    sql("DELETE FROM accounts_auditlink WHERE number = %s", older["number"] + 1)
    sql(
        "UPDATE accounts_auditchain SET number = %s, last = %s, code = %s, settled = %s",
        *older.values(),
    )
    assert found() == [], "what the docstring says cannot be found"
    assert [str(finding) for finding in chain.findings(noted)] == [
        f"the head noted elsewhere, {noted}, is not in the chain"
    ]


@pytest.mark.parametrize("noted", ["", "7", "x:y", "-1:z", "9" * 40 + ":q"])
def test_an_odd_noted_head_is_a_finding(sealed: list[int], noted: str) -> None:
    assert len(list(chain.findings(noted))) == (1 if noted else 0)


def test_a_code_forged_without_the_key_is_found(sealed: list[int]) -> None:
    sql("UPDATE accounts_auditevent SET actor = 'x' WHERE id = %s", sealed[-1])
    row, link = AuditEvent.objects.get(pk=sealed[-1]), AuditLink.objects.get(event_id=sealed[-1])
    before = AuditLink.objects.get(number=link.number - 1).code
    forged = chain._code(b"guessed", link.number, before, row)
    sql("UPDATE accounts_auditlink SET code = %s WHERE number = %s", forged, link.number)
    sql("UPDATE accounts_auditchain SET last = %s", forged)
    assert f"audit row {sealed[-1]}: was changed, or is not in its place" in found()


def test_the_command_names_the_rows_and_exits_with_1(sealed: list[int]) -> None:
    sql("UPDATE accounts_auditevent SET actor = 'x' WHERE id = %s", sealed[2])
    said, complained = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command("verifyaudit", stdout=said, stderr=complained)
    assert error.value.returncode == 1
    assert f"audit row {sealed[2]}: was changed" in complained.getvalue() and "findings=1" in said.getvalue()


def test_trouble_shows_by_itself_and_goes_when_all_is_well_again(sealed: list[int]) -> None:
    sql("UPDATE accounts_auditevent SET verb = 'x' WHERE id = %s", sealed[2])
    chain.seal("one")
    chain.seal("one")
    assert AuditChain.objects.get().trouble == f"audit row {sealed[2]}: was changed, or is not in its place"
    sql("UPDATE accounts_auditevent SET verb = 'tenant.look' WHERE id = %s", sealed[2])
    call_command("verifyaudit", stdout=io.StringIO())
    assert AuditChain.objects.get().trouble == ""


def test_one_process_seals_at_a_time(tenant: Tenant) -> None:
    chain.seal("one")
    audit.record(by=None, verb="tenant.look", target=tenant)
    assert chain.seal("two") == 0 and chain.seal("one") == 1
    audit.record(by=None, verb="tenant.look", target=tenant)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        assert chain.seal("two") == 1, "a process that is gone keeps nobody"


def test_batches_leave_nothing_out(tenant: Tenant) -> None:
    for _ in range(9):
        audit.record(by=None, verb="tenant.look", target=tenant)
    assert [chain.seal("one", most=4) for _ in range(4)] == [4, 4, 2, 0]
    assert found() == []


def test_the_chain_outlives_the_rotation_of_the_key_ring(sealed: list[int], settings: pytest.FixtureRequest) -> None:
    old, new = settings.CONSOLE_KEYS, new_key()
    settings.CONSOLE_KEYS = [new, *old]
    call_command("rotatekeys", stdout=io.StringIO())
    settings.CONSOLE_KEYS = [new]
    assert found() == []
    settings.CONSOLE_KEYS = old
    with pytest.raises(CannotOpen):
        found()


def test_neither_rows_nor_links_can_be_changed_by_the_console(sealed: list[int]) -> None:
    row, link = AuditEvent.objects.all()[0], AuditLink.objects.all()[0]
    for change in (AuditEvent.objects.all().delete, AuditLink.objects.all().delete, row.delete, link.delete):
        with pytest.raises(TypeError):
            change()
    for save in (row.save, link.save):
        with pytest.raises(TypeError):
            save()
    with pytest.raises(TypeError):
        AuditLink.objects.update(code="x")


# On PostgreSQL


@pytest.fixture
def application(sealed: list[int]) -> Iterator[None]:
    """As the user that the console runs as: one with every right that the migration leaves it."""
    with connection.cursor() as cursor:
        cursor.execute('CREATE ROLE "drydock-app"')
        cursor.execute('GRANT ALL ON ALL TABLES IN SCHEMA public TO "drydock-app"')
        cursor.execute("GRANT UPDATE ON accounts_auditlink TO PUBLIC")
        cursor.execute('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "drydock-app"')
        with connection.schema_editor(atomic=False) as editor:
            import_module("accounts.migrations.0004_audit_chain").revoke(None, editor)
        cursor.execute('SET LOCAL ROLE "drydock-app"')
        yield
        cursor.execute("RESET ROLE")


@pytest.mark.postgresql
@pytest.mark.parametrize("table", ["auditevent", "auditlink"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {}={}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_applications_user_cannot_change_audit_rows(application: None, table: str, change: str) -> None:
    column = "actor" if table == "auditevent" else "code"
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        sql(change.format(f"accounts_{table}", column, column))


@pytest.mark.postgresql
def test_the_applications_user_writes_and_seals(application: None, tenant: Tenant) -> None:
    audit.record(by=None, verb="tenant.look", target=tenant)
    assert chain.seal("one") == 1
    assert found() == []
    said = io.StringIO()
    call_command("verifyaudit", stdout=said)
    assert "changeable=no\n" in said.getvalue()
