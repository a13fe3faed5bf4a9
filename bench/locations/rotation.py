"""S5: the keys of the console are changed under 10,000 credentials, and the command is killed half-way, more than once.

After every kill each credential opens with both keys in the ring; the last run ends with all of them under the new key
alone. A ciphertext that was moved to another row, or to another table's row of the same id, does not open. On SQLite,
or on the PostgreSQL that `DATABASE_URL` names (`python -m bench.postgres -- python -m bench.locations S5`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import django

from bench.report import Report
from bench.stack import CHECKOUT
from console.lib.keys import new_key

if TYPE_CHECKING:
    from django.db.models import Model

    from console.lib.crypto import EncryptedJSONField

CREDENTIALS, REDUCED = 10_000, 1_000
MOVES = 1_000  # at full size
ENDS_WITHIN = 120.0  # seconds
OLD, NEW = new_key(), new_key()
Place = tuple["type[Model]", "EncryptedJSONField", Any]  # a table, its field, a row's primary key


def check(*, full: bool, seed: int) -> Report:
    """Killed three times at full size, once reduced; when exactly is random."""
    report, chance = (
        Report("S5", "the keys are changed under all credentials, killed half-way", full),
        random.Random(seed),
    )
    with _database() as home:
        total = _plant(CREDENTIALS if full else REDUCED)
        report.say("credentials", total, f">= {CREDENTIALS if full else REDUCED}", reference=_vendor())
        report.control("before, with the new key alone", failed=_readable(NEW) == 0, detail=f"{_readable(NEW)} open")
        for share in (0.25, 0.5, 0.75) if full else (0.5,):
            _killed(report, home, total, int(total * (share + chance.uniform(-0.1, 0.1))))
        _ended(report, home, total)
        _moved(report, chance, MOVES if full else MOVES // 10)
    return report


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """A folder for the console, its database made, its ring the old key alone."""
    with tempfile.TemporaryDirectory(prefix="drydock-rotation-") as home:
        own = {"DRYDOCK_VAR": home, "SECRET_KEY": new_key() * 2, "CONSOLE_KEYS": OLD, "LOG_LEVEL": "CRITICAL"}
        os.environ |= own | {"DJANGO_SETTINGS_MODULE": "console.settings"}
        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        yield home
        connections.close_all()


def _vendor() -> str:
    from django.db import connection

    return connection.vendor


def _plant(wanted: int) -> int:
    """As many credentials, over all tables that have any; rows of the same id in each. How many there are."""
    from django.contrib.auth import get_user_model

    from accounts.actions.tenant import create_tenant
    from accounts.models import AuditChain
    from backups.models import BackupLocation, LocationCheck
    from workspaces.actions.project import create_project
    from workspaces.models import Cluster, ClusterCheck, Draft

    project = create_project(by=None, tenant=create_tenant(by=None, name="Harbor"), name="Default")
    owner = get_user_model().objects.create_user(email="alice@harbor.example", password=None)
    fields: dict[type[Model], dict[str, Any]] = {
        Cluster: {},
        ClusterCheck: {},
        Draft: {"kind": "location", "owner": owner},
        BackupLocation: {"bucket": "backups"},
        LocationCheck: {},
    }
    for model, more in fields.items():
        ids = [uuid.uuid5(uuid.NAMESPACE_URL, str(number)) for number in range(wanted // len(fields))]
        rows = [model(pk=pk, project=project, **more, **_names(model, pk)) for pk in ids]
        for row in rows:
            setattr(row, _column(model).name, _secret(model, row.pk))
        model._base_manager.bulk_create(rows)
    AuditChain.objects.update_or_create(pk=1, defaults={"key": _secret(AuditChain, 1)})
    return sum(1 for _ in _all())


def _names(model: type[Model], pk: uuid.UUID) -> dict[str, str]:
    """What must be different in each row."""
    known = {field.name for field in model._meta.get_fields()}
    return {name: f"{pk}" for name in ("name", "prefix") if name in known}


def _secret(model: type[Model], pk: Any) -> dict[str, str]:
    return {"secret": f"planted-{model._meta.db_table}-{pk}"}


def _column(model: type[Model]) -> EncryptedJSONField:
    from console.management.commands.rotatekeys import encrypted_fields

    return next(column for table, column in encrypted_fields() if table is model)


def _all() -> Iterator[Place]:
    """Every place of a credential."""
    from console.management.commands.rotatekeys import encrypted_fields

    for model, column in encrypted_fields():
        holding = model._base_manager.filter(**{f"{column.name}__isnull": False})
        yield from ((model, column, pk) for pk in holding.values_list("pk", flat=True).order_by("pk"))


def _readable(*keys: str) -> int:
    """How many credentials are what was planted, read as the console reads them, with these keys in its ring."""
    from django.test import override_settings

    from console.management.commands.rotatekeys import encrypted_fields

    with override_settings(CONSOLE_KEYS=list(keys)):
        return sum(
            _opened(row, column) == _secret(model, row.pk)
            for model, column in encrypted_fields()
            for row in model._base_manager.only(column.name).iterator()
        )


def _opened(row: Model, column: EncryptedJSONField) -> Any:
    """The value; None when it stays closed."""
    from console.lib.crypto import CannotOpen

    try:
        return getattr(row, column.attname)
    except CannotOpen:
        return None


def _under_new_key() -> int:
    """How many credentials the new key has sealed, as they lie in the database."""
    from console.lib.crypto import KeyRing
    from console.management.commands.rotatekeys import encrypted_fields

    begins = f"v1.{KeyRing([NEW]).newest}."
    found = 0
    for model, column in encrypted_fields():
        with _cursor() as cursor:
            table, name = model._meta.db_table, column.column
            cursor.execute(f"SELECT count(*) FROM {table} WHERE {name} LIKE %s", [f"{begins}%"])
            found += cursor.fetchone()[0]
    return found


def _cursor() -> Any:
    from django.db import connection

    return connection.cursor()


def _start(home: str, *arguments: str) -> subprocess.Popen[str]:
    """The command with both keys in the ring, the new one first."""
    command = [sys.executable, "manage.py", "rotatekeys", "--skip-checks", *arguments]
    env = os.environ | {"DRYDOCK_VAR": home, "CONSOLE_KEYS": f"{NEW},{OLD}"}
    return subprocess.Popen(command, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True)


def _killed(report: Report, home: str, total: int, at: int) -> None:
    """SIGKILL once `at` credentials are done."""
    with _start(home, f"--batch={max(1, total // 200)}") as process:
        until = time.monotonic() + ENDS_WITHIN
        while process.poll() is None and _under_new_key() < at and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    done = _under_new_key()
    report.say("done_when_killed", done, f"< {total}", reference=f"killed at {at}, exit code {process.returncode}")
    report.say("killed_by_signal", int(process.returncode == -signal.SIGKILL and done >= at), "= 1")
    report.say("readable_with_both_keys", _readable(NEW, OLD), f"= {total}")
    alone = _readable(NEW)
    report.control("half-way, with the new key alone", failed=alone == done < total, detail=f"{alone} of {total} open")


def _ended(report: Report, home: str, total: int) -> None:
    """A run that nobody kills."""
    with _start(home) as process:
        process.communicate(timeout=ENDS_WITHIN)
    report.say("exit_code_of_the_last_run", process.returncode, "= 0")
    report.say("under_the_new_key", _under_new_key(), f"= {total}")
    report.say("readable_with_the_new_key_alone", _readable(NEW), f"= {total}")
    alone = _readable(OLD)
    report.control("after, with the old key alone", failed=alone == 0, detail=f"{alone} open")


def _moved(report: Report, chance: random.Random, times: int) -> None:
    """A ciphertext in another's place: of the same table, and of the same id in another table."""
    from django.test import override_settings

    from console.lib.crypto import EncryptedJSONField

    with override_settings(CONSOLE_KEYS=[NEW]):
        places = list(_all())
        pairs = {"to_another_row": _to_another_row(places), "to_another_field": _to_another_field(places)}
        for name, candidates in pairs.items():
            tried = chance.sample(candidates, min(times, len(candidates)))
            report.say(f"moved_{name}_opened", sum(_opens(*pair) for pair in tried), "= 0", n=len(tried))
        with mock.patch.object(EncryptedJSONField, "place", lambda *_: "anywhere"):
            unbound = sum(_opens(*pair, afresh=True) for pair in tried)
        report.control("ciphertexts bound to nothing", failed=unbound == len(tried), detail=f"{unbound} opened")


def _to_another_row(places: list[Place]) -> list[tuple[Place, Place]]:
    """Each with its neighbour in the table."""
    return [(one, other) for one, other in itertools.pairwise(places) if one[0] is other[0]]


def _to_another_field(places: list[Place]) -> list[tuple[Place, Place]]:
    """Each with the row of the same id in the next table."""
    by_id: dict[Any, list[Place]] = {}
    for place in places:
        by_id.setdefault(place[2], []).append(place)
    return [pair for same in by_id.values() for pair in itertools.pairwise(same)]


def _opens(one: Place, other: Place, *, afresh: bool = False) -> bool:
    """Whether the value of `one`, put in the place of `other`, is read there. `afresh`: sealed anew before."""
    from django.db import transaction

    (model, column, pk), (there, theirs, their_pk) = one, other
    with transaction.atomic():
        if afresh:
            row = model(pk=pk)
            setattr(row, column.attname, _secret(model, pk))
            stored = column.pre_save(row, False)
        else:
            stored = model._base_manager.values_list(column.name, flat=True).get(pk=pk)
        there._base_manager.filter(pk=their_pk).update(**{theirs.name: stored})
        opened = _opened(there._base_manager.only(theirs.name).get(pk=their_pk), theirs)
        transaction.set_rollback(True)
    return opened is not None
