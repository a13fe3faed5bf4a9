"""What workers can be made to do: every job, the action that asks for it, and who may. Spelled out as in `routes`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bench.access.routes import ALL

if TYPE_CHECKING:
    from accounts.models import User
    from bench.access.world import World

Rows = dict[str, Any]
MAKERS = ("carries", "handed_back")  # of jobs, and no jobs themselves


@dataclass(frozen=True)
class Asking:
    """`who` may `act`; jobs without an action are sent by the console alone."""

    who: str = ""
    act: Callable[[User, Rows], object] | None = None


def _backup(by: User, rows: Rows) -> object:
    from backups.actions.backup import request_backup

    return request_backup(
        by=by, cluster=rows["cluster"], location=rows["location"], name="asked", keep_for=timedelta(days=7)
    )


def _restore(by: User, rows: Rows) -> object:
    from backups.actions.restore import request_restore

    return request_restore(by=by, backup=rows["backup"], target=rows["cluster"])


def _location(by: User, rows: Rows) -> object:
    from backups.actions.location import request_recheck

    return request_recheck(by=by, location=rows["location"])


def _place(by: User, rows: Rows) -> object:
    from backups.actions.location import retry_change

    return retry_change(by=by, location=rows["location"], cluster=rows["cluster"])


def _scan(by: User, rows: Rows) -> object:
    from backups.actions.location_scan import request_scan

    return request_scan(by=by, location=rows["location"])


def _policy(by: User, rows: Rows) -> object:
    from backups.actions.policy import pause_policy

    return pause_policy(by=by, policy=rows["policy"], paused=True)


def _cluster(by: User, rows: Rows) -> object:
    from workspaces.actions.cluster import request_recheck

    return request_recheck(by=by, cluster=rows["cluster"])


def _log(by: User, rows: Rows) -> object:
    from backups.actions.reading import request_log

    return request_log(by=by, of=rows["backup"])


def _preview(by: User, rows: Rows) -> object:
    from backups.actions.volumes import request_preview

    return request_preview(by=by, cluster=rows["cluster"], namespaces=[], include_disks=True, cluster_resources="auto")


JOBS: dict[str, Asking] = {
    "submit_backup": Asking("TP", _backup),
    "submit_restore": Asking("TP", _restore),
    "check_location": Asking("TP", _location),
    "change_location": Asking("TP", _place),
    "scan_location": Asking("TP", _scan),
    "change_policy": Asking("TP", _policy),
    "check_cluster": Asking("TP", _cluster),
    "read": Asking(ALL, _log),
    "preview_volumes": Asking("TP", _preview),
    "read_results": Asking(),
    "tidy_restore": Asking(),
}


def entry_points() -> dict[str, list[str]]:
    """Every job by name, with the names of what a message can give it."""
    from backups import jobs

    made = {name: each for name, each in vars(jobs).items() if getattr(each, "__module__", "") == jobs.__name__}
    return {name: _given(each) for name, each in made.items() if hasattr(each, "__wrapped__") and name not in MAKERS}


def _given(job: Any) -> list[str]:
    return list(inspect.signature(job, follow_wrapped=False).parameters)


def judged(world: World, names: Collection[str] = ()) -> tuple[int, list[str]]:
    """How many times somebody asked, and what was wrong about which; of these jobs, or all."""
    cells = list(_cells(world, names or JOBS))
    return len(cells), [said for said in cells if said]


def _cells(world: World, names: Collection[str]) -> Iterator[str]:
    from bench.access.world import PLACES

    for name in names:
        asking = JOBS[name]
        for place in PLACES if asking.act else ():
            for who, person in world.people.items():
                wanted = who in asking.who and who in PLACES[place]
                got_in = _gets_in(asking, person, world.loaded(place))
                yield "" if got_in == wanted else f"{name} {who} {place}: {'let in' if got_in else 'kept out'}"


def _gets_in(asking: Asking, person: User, rows: Rows) -> bool:
    """Whether the door let them through, whatever came of it; undone after."""
    from django.db import transaction

    from console.lib.errors import ConsoleError, Forbidden, NotVisible

    assert asking.act
    with transaction.atomic():
        try:
            asking.act(person, rows)
        except (NotVisible, Forbidden):
            return False
        except ConsoleError:
            return True
        finally:
            transaction.set_rollback(True)
    return True
