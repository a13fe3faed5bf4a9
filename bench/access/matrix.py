"""S1: every page by every role for rows in every place by every method, and each asked for what does not exist.

Where one is not let in the answer is 404, the same in status and body as for a row that is not there; 403 is allowed
only where the row is one's own to see. Everything a request changes is undone before the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import django
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from bench.access import jobs
from bench.access.database import in_memory
from bench.access.routes import ROUTES, Route
from bench.report import Report

if TYPE_CHECKING:
    from django.test import Client

    from bench.access.world import World

GOOD = range(200, 500)  # a form that is not filled in is answered with 4xx, and lets in all the same
LOST, FORBIDDEN, WRONG_METHOD = 404, 403, 405
OTHER_METHODS = ("put", "patch", "delete", "trace")
# What differs between two answers that say the same: references, tokens, and the address itself.
PASSING = re.compile(r"[0-9a-f]{12,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|nonce=\"[^\"]*\"|value=\"[^\"]{64}\"")
STEPS = {"step": "basics", "scope": "workspaces", "role": "workspace_operator", "deed": "give"}


@dataclass(frozen=True)
class Cell:
    """One request: who asks for which page of which row in which place."""

    route: str
    method: str
    who: str
    place: str


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes."""
    report = Report("S1", "who is let in where: pages, roles, places, methods", full)
    with in_memory():
        names = sorted(_names(get_resolver()))
        world = _world()
        cells, wrong = judged(world, names)
        asked_jobs, wrong_jobs = jobs.judged(world)
        cells, wrong = cells + asked_jobs, wrong + wrong_jobs
        entry_points = jobs.entry_points()
        wrong += [f"{name} takes {given}" for name, given in entry_points.items() if given != ["pk", "attempt"]]
        unlisted = sorted((entry_points.keys() ^ jobs.JOBS.keys()) | _unlisted(names, ROUTES))
        report.say("routes", len(names))
        report.say("jobs", len(entry_points))
        report.say("roles", len(world.people) + 1)  # and nobody
        report.say("cells", cells, ">= 1000")
        report.say("unlisted", len(unlisted), "= 0")
        report.say("failed", len(wrong), "= 0", n=cells)
        print("\n".join([*map(str, wrong[:40]), *(f"unlisted: {name}" for name in unlisted)]), flush=True)
        fewer = {name: route for name, route in ROUTES.items() if name != "backup_log"}
        found = _unlisted(names, fewer)
        report.control("a page that is not in the table", failed=bool(found), detail=", ".join(found))
        for what, planted in PLANTED.items():
            with planted():
                wrong = judged(world, ["cluster_overview", "backup_detail", "cluster_deregister"], "V", "O")[1]
            report.control(what, failed=bool(wrong), detail=f"{len(wrong)} cells")
    return report


def _world() -> World:
    from bench.access.world import make

    return make()


def _names(resolver: URLResolver) -> Iterator[str]:
    """Of every page but Django admin's own, which has its own case."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or str(pattern.pattern)
        elif pattern.app_name != "admin":
            yield from _names(pattern)


def unlisted() -> set[str]:
    """Pages that are not in the table, and the other way round."""
    return _unlisted(_names(get_resolver()), ROUTES)


def _unlisted(names: Iterable[str], table: Mapping[str, Route]) -> set[str]:
    return set(names) ^ table.keys()


def judged(world: World, names: list[str], *whose: str) -> tuple[int, list[str]]:
    """How many requests were made, and what was wrong about which; of everybody, or of these."""
    wrong, count = list[str](), 0
    sessions = _sessions(world)
    _nothing.cache_clear()
    for name in names:
        for cell in _cells(name, ROUTES[name], whose) if name in ROUTES else ():
            count += 1
            if said := _wrong(world, sessions[cell.who], cell):
                wrong.append(f"{cell}: {said}")
    return count, wrong


def _sessions(world: World) -> dict[str, str]:
    """The session cookie of each; none of nobody."""
    from django.test import Client

    made = {"": ""}
    for letter, who in world.people.items():
        client = Client()
        client.force_login(who)
        made[letter] = client.cookies["sessionid"].value
    return made


def _browser(session: str) -> Client:
    """A new one, as pages may end sessions."""
    from django.test import Client

    made = Client(raise_request_exception=False)
    if session:
        made.cookies["sessionid"] = session
    return made


def _cells(name: str, route: Route, whose: Sequence[str]) -> Iterator[Cell]:
    from bench.access.world import LETTERS, PLACES

    places = PLACES if route.row else ["own"]
    for who in whose or [*LETTERS, "M", ""]:
        for place in places:
            yield from (Cell(name, method, who, place) for method in ("get", "post"))
        yield from (Cell(name, method, who, "own") for method in OTHER_METHODS)


def _wrong(world: World, session: str, cell: Cell) -> str:
    """What is wrong about the answer; empty when it is as it should be."""
    status, body, leads = asked(session, cell.method, address(world, cell, cell.place))
    if ROUTES[cell.route].machines:
        return "" if cell.who or status in (200, 401, 503) else f"no answer to a machine: {status}"
    if not cell.who and not ROUTES[cell.route].public:
        return "" if leads.startswith("/login/") or status == FORBIDDEN else f"nobody is let in: {status}"
    wanted = getattr(ROUTES[cell.route], cell.method, None)
    if wanted is None:
        return "" if status in (WRONG_METHOD, LOST, FORBIDDEN) else f"{status} to a method there is not"
    if _let_in(cell, wanted):
        good = status in GOOD and status not in (LOST, FORBIDDEN) and ("/login/" in leads) == ROUTES[cell.route].ends
        return "" if good else f"kept out: {status}"
    return _kept_out(world, session, cell, status, body)


def _let_in(cell: Cell, letters: str) -> bool:
    everybody = letters == "M"
    return everybody or (cell.who in letters and _counts(cell))


def _counts(cell: Cell) -> bool:
    """Whether who asks has a role that counts for what they ask for."""
    from bench.access.world import IN_THE_PROJECT, PLACES

    wide = ROUTES[cell.route].wide and cell.place in IN_THE_PROJECT
    return bool(cell.who) and cell.who in (PLACES["own"] if wide else PLACES[cell.place])


def _kept_out(world: World, session: str, cell: Cell, status: int, body: str) -> str:
    from bench.access.world import NOTHING

    if not ROUTES[cell.route].row:
        return "" if status in (LOST, FORBIDDEN) else f"let in: {status}"
    if status == FORBIDDEN and _counts(cell):
        return ""
    if status != LOST:
        return f"let in: {status}"
    nothing = _nothing(session, cell.method, address(world, cell, NOTHING))
    return "" if (LOST, body) == nothing[:2] else "differs from what is not there"


@cache
def _nothing(session: str, method: str, where: str) -> tuple[int, str, str]:
    """What is answered for a row that does not exist: the same, whichever place it is compared with."""
    return asked(session, method, where)


def asked(session: str, method: str, where: str) -> tuple[int, str, str]:
    """Status, body without what passes, and where it leads; undone after."""
    from django.db import transaction

    with transaction.atomic():
        answer = getattr(_browser(session), method)(where)
        transaction.set_rollback(True)
    body = "" if answer.streaming else answer.content.decode(errors="replace")
    said = PASSING.sub("·", body).replace(PASSING.sub("·", where), "·")
    return answer.status_code, said, answer.headers.get("Location", "")


def address(world: World, cell: Cell, place: str) -> str:
    """Of the page, for the row of this place."""
    row = ROUTES[cell.route].row
    values: dict[str, object] = {}
    for name in _pattern(cell.route):
        kind = row if name in ("pk", "draft") else name
        values[name] = _step(cell.route, name) or world.rows[place if kind == row else cell.place][kind]
    return reverse(cell.route, kwargs=values)


def _step(route: str, name: str) -> str:
    """What stands in an address and is no row's."""
    return "activate" if (route, name) == ("user_state", "deed") else STEPS.get(name, "")


def _pattern(name: str) -> list[str]:
    """The names of the values in an address."""
    ((_, names),) = get_resolver().reverse_dict.getlist(name)[0][0]
    return list(names)


def forgets_to_narrow() -> Any:
    """A list of everybody's rows."""
    return mock.patch("accounts.permissions._reached", lambda user, model, verb: django.db.models.Q())


def forgets_the_verb() -> Any:
    """Whoever may look may do everything."""
    from accounts import permissions
    from accounts.roles import Verb

    plain = permissions._reached

    def looks(user: Any, model: Any, verb: Any) -> Any:
        return plain(user, model, Verb(f"{permissions.Place.of(model).noun}.get"))

    return mock.patch("accounts.permissions._reached", looks)


PLANTED: dict[str, Callable[[], Any]] = {
    "a list that forgets to narrow": forgets_to_narrow,
    "a door that forgets the verb": forgets_the_verb,
}
