"""S0, a test of the tests: bugs planted one at a time into the running process, each of which its check must find.

The tables say what is changed in the product and which check must turn red: one of `make prove-access`, asked about the
few pages that the bug concerns, or one test of the suite. Without a bug the same questions must all be answered well,
or red would mean nothing. No file is changed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from unittest import mock

from bench.access import guesses, jobs, matrix, surroundings, trail
from bench.access.database import in_memory
from bench.report import Report
from bench.stack import CHECKOUT

if TYPE_CHECKING:
    from accounts.models import User
    from bench.access.world import World

Plant = Callable[[], AbstractContextManager[Any]]
FEW = 30  # guesses: more than hashes are allowed


@dataclass(frozen=True)
class Ground:
    """What is asked about: rows and people, the ids of a sealed audit log, somebody to guess the password of."""

    world: World
    sealed: list[int]
    owner: User


@dataclass(frozen=True)
class Bug:
    """`what` is changed by `plant`; `red` is how many things the check `of` then finds wrong."""

    of: str
    what: str
    plant: Plant
    red: Callable[[Ground], int]


@dataclass(frozen=True)
class InTest:
    """`what` is changed by `plant` while the test runs."""

    what: str
    plant: Plant


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes."""
    report = Report("S0", "planted bugs, each found by its check", full)
    planted = len(BUGS) + len(IN_TESTS)
    with _ground() as ground:
        wrong = [bug.what for bug in BUGS if bug.red(ground)]
        found = [bug.what for bug in BUGS if _is_found(bug, ground)]
    found += _red_tests()
    missed = ({bug.what for bug in BUGS} | {bug.what for bug in IN_TESTS.values()}) - set(found)
    report.say("red_without_a_bug", len(wrong), "= 0", n=len(BUGS))
    report.say("planted", planted, ">= 20")
    report.say("found", planted - len(missed), f"= {planted}", n=planted)
    for what in sorted(missed):
        print(f"not found: {what}", flush=True)
    for what in wrong:
        print(f"red without it: {what}", flush=True)
    return report


@contextmanager
def _ground() -> Iterator[Ground]:
    """Behind TLS as S8 wants it, without sending every other check there first."""
    with in_memory(**surroundings.BEHIND_TLS):
        from django.test import override_settings

        from bench.access.world import make

        with override_settings(SECURE_SSL_REDIRECT=False):
            yield Ground(sealed=trail.sealed(), world=make(), owner=guesses.make_owner())


def _is_found(bug: Bug, ground: Ground) -> bool:
    with bug.plant():
        return bug.red(ground) > 0


def _red_tests() -> list[str]:
    """Which bugs turned their tests red, in a process of their own; the suite tells that without they are green."""
    with tempfile.TemporaryDirectory() as folder:
        red, keys = Path(folder) / "red", {"SECRET_KEY": os.environ["SECRET_KEY"], "DRYDOCK_VAR": folder}
        env = os.environ | keys | {"DRYDOCK_PLANTED_RED": str(red), "OUTBOUND_ALLOW_LOOPBACK": "1"}
        env |= {"BEHIND_TLS": "0", "DEBUG": "0"}
        command = [sys.executable, "-m", "pytest", "-p", "bench.access.planting", *IN_TESTS]
        done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)
        assert red.exists(), done.stdout[-2000:] + done.stderr[-2000:]
        return list(json.loads(red.read_text()))


# The questions


def _page(name: str, who: str) -> Callable[[Ground], int]:
    """Asked for by one person, in every place by every method."""
    return lambda ground: len(matrix.judged(ground.world, [name], who)[1])


def _unlisted(ground: Ground) -> int:
    return len(matrix.unlisted())


def _asked_for(job: str) -> Callable[[Ground], int]:
    return lambda ground: len(jobs.judged(ground.world, [job])[1])


def _answers(ground: Ground) -> int:
    """Of one page, whole and live: read by middleware that is made anew."""
    from django.test import Client

    browser = Client(raise_request_exception=False)
    browser.force_login(ground.world.people["T"])
    return len(surroundings.judged([f"/projects/{ground.world.rows['own']['project']}/"], browser))


def _cookies(ground: Ground) -> int:
    return len(surroundings.wrong_cookies())


def _untold(harm: str) -> Callable[[Ground], int]:
    """Of ten rows that were harmed, how many nobody finds."""
    return lambda ground: sum(
        not trail.is_found(trail.HARMS[harm], ground.sealed, random.Random(number)) for number in range(10)
    )


def _too_many_hashes(ground: Ground) -> int:
    return max(0, guesses.hashes(ground.owner, FEW) - guesses.HASHES)


def _owner_is_locked_out(ground: Ground) -> int:
    guesses.hashes(ground.owner, FEW)
    return int(not guesses.gets_in(ground.owner, guesses.ELSEWHERE))


# The bugs

SIGN_IN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
POLICY = "csp.middleware.CSPMiddleware"


def _patched(where: str, by: Any) -> Plant:
    return lambda: mock.patch(where, by)


def _setting(**values: Any) -> Plant:
    def plant() -> AbstractContextManager[Any]:
        from django.test import override_settings

        return override_settings(**values)

    return plant


def _nothing(*_: Any, **__: Any) -> Any:
    """In the place of a check."""


def _everything(user: Any, rows: Any, verb: Any) -> Any:
    """In the place of visible()."""
    return rows


def _every_row(rows: Any, tenant_id: Any) -> Any:
    """In the place of AuditQuerySet.of_tenant()."""
    return rows


def _forbids(user: Any, rows: Any, verb: Any) -> NoReturn:
    """Tells apart what is another's and what is not there."""
    from console.lib.errors import Forbidden, NotVisible

    raise Forbidden("This is somebody else's.") if rows.exists() else NotVisible("There is nothing here.")


def _removed_goes_unseen() -> AbstractContextManager[Any]:
    """The walk passes over links without a row, and over gaps."""
    from accounts import chain
    from accounts.models import AuditEvent

    def walk(head: Any, after: int, most: int | None) -> Iterator[Any]:
        plain = walk_before(head, after, most)
        there = set(AuditEvent.objects.values_list("pk", flat=True))
        yield from (each for each in plain if each.event in there)

    walk_before = chain._walk
    return mock.patch("accounts.chain._walk", walk)


def _inline_script() -> AbstractContextManager[Any]:
    """In every page, one that no nonce vouches for."""
    from django.template.backends.django import Template
    from django.utils.safestring import mark_safe

    plain = Template.render
    return mock.patch.object(Template, "render", lambda *given: mark_safe(plain(*given) + "<script>1</script>"))


@contextmanager
def _new_page() -> Iterator[None]:
    """One that nobody wrote into the table."""
    from django.urls import get_resolver, path

    patterns = get_resolver().url_patterns
    patterns.append(path("planted/", _nothing, name="planted"))
    yield
    patterns.pop()


BUGS = (
    Bug("S1", "a list that forgets to narrow", matrix.forgets_to_narrow, _page("backup_detail", "O")),
    Bug("S1", "a door that forgets the verb", matrix.forgets_the_verb, _page("cluster_deregister", "V")),
    Bug("S1", "a page that is not in the table", _new_page, _unlisted),
    Bug(
        "S1",
        "403 for what is another tenant's",
        _patched("accounts.permissions._refuse", _forbids),
        _page("backup_detail", "T"),
    ),
    Bug(
        "S1",
        "pages that ask nobody to sign in",
        _patched(f"{SIGN_IN}.process_view", _nothing),
        _page("backup_detail", ""),
    ),
    Bug(
        "S1",
        "a request for a backup without its check",
        _patched("backups.actions.backup.require", _nothing),
        _asked_for("submit_backup"),
    ),
    Bug(
        "S8",
        "no content policy",
        _patched(f"{POLICY}.process_response", lambda self, request, response: response),
        _answers,
    ),
    Bug("S8", "an inline script without a nonce", _inline_script, _answers),
    Bug("S8", "no Strict-Transport-Security", _setting(SECURE_HSTS_SECONDS=0), _answers),
    Bug("S8", "pages that may be framed", _setting(X_FRAME_OPTIONS="SAMEORIGIN"), _answers),
    Bug("S8", "a session cookie that scripts can read", _setting(SESSION_COOKIE_HTTPONLY=False), _cookies),
    Bug("S8", "a session cookie sent without TLS", _setting(SESSION_COOKIE_SECURE=False), _cookies),
    Bug(
        "S9",
        "codes that nobody compares",
        _patched("accounts.chain.hmac.compare_digest", lambda *_: True),
        _untold("edited"),
    ),
    Bug("S9", "removed rows that are passed over", _removed_goes_unseen, _untold("removed")),
    Bug("S10", "no throttle", _setting(AXES_ENABLED=False), _too_many_hashes),
    Bug(
        "S10",
        "a throttle for all addresses at once",
        _patched("accounts.throttle.block_of", lambda address: "0.0.0.0"),
        _owner_is_locked_out,
    ),
)
IN_TESTS = {
    "tests/unit/accounts/test_actions_role.py::TestMembers::test_the_last_one_stays": InTest(
        "the last Tenant Admin steps down", _patched("accounts.actions.member._refuse_last_admin", _nothing)
    ),
    "tests/web/test_invitation.py::TestAccepting::test_used_twice": InTest(
        "an invitation that works twice", _patched("accounts.models.Invitation.is_open", True)
    ),
    "tests/web/test_invitation.py::TestAccepting::test_expired": InTest(
        "an invitation that works for ever", _patched("accounts.models.Invitation.has_ended", False)
    ),
    "tests/web/test_roles.py::test_restores_of_others_are_not_shown_on_the_operators_backup": InTest(
        "a list within a page that forgets to narrow", _patched("backups.views.backup.visible", _everything)
    ),
    "tests/web/test_audit.py::test_rows_of_another_tenant_or_of_none_are_never_there": InTest(
        "an audit log of every tenant", _patched("accounts.models.audit.AuditQuerySet.of_tenant", _every_row)
    ),
    "tests/web/test_denials.py::test_a_set_of_denied_requests_leaves_one_row_each": InTest(
        "denials without a row", _patched("accounts.denials._record", _nothing)
    ),
    "tests/web/test_confirm.py::test_the_pages_that_give_roles_ask": InTest(
        "roles given without the password", _patched("accounts.views.user.require_recent_sign_in", _nothing)
    ),
    "tests/web/test_sessions.py::test_an_idle_session_ends": InTest(
        "a session that never ends", _patched("accounts.models.session.Session.has_ended", lambda *_: False)
    ),
    "tests/web/test_frame.py::test_the_session_changes_its_key_at_sign_in": InTest(
        "a session that keeps its key at the sign-in", _patched("accounts.sessions.SessionStore.cycle_key", _nothing)
    ),
}
