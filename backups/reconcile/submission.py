"""What carrying a backup and carrying a restore to its cluster have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone

from backups.lifecycle import State
from backups.models import Backup, Restore, VeleroWish
from backups.velero import names
from backups.velero.backup import BackupReport
from backups.velero.restore import RestoreReport
from console.lib import context
from console.lib.errors import ConsoleError, Missing, Refused, TryLater, Unanswered
from workspaces.models import Cluster, Overtaken, Wish

log = structlog.get_logger(__name__)
LONGEST_PAUSE = 60.0
LOOK_AGAIN = timedelta(seconds=2)
LATEST = timedelta(hours=24)  # an older wish is not carried out any more

Report = BackupReport | RestoreReport


@contextmanager
def submitting(wish: VeleroWish) -> Iterator[None]:
    """Whatever goes wrong inside ends in a state of the row and a sentence for a person."""
    try:
        yield
    except Overtaken:
        log.info("overtaken", row=str(wish.pk))
    except ConsoleError as error:
        _explain(wish, error)
    except Exception:
        _quietly(
            wish.wait, pause(wish.attempt), f"Something went wrong, reference {context.current().id}; trying again."
        )
        raise


def _explain(wish: VeleroWish, error: ConsoleError) -> None:
    soon = timezone.now() + LOOK_AGAIN
    if isinstance(error, Unanswered):
        _quietly(wish.write, state=State.UNKNOWN, due_at=soon, message=error.sentence())
    elif isinstance(error, TryLater):
        _quietly(wish.wait, max(error.retry_after, pause(wish.attempt)), error.sentence())
    elif wish.state != State.REQUESTED and not wish.asked:  # whether an earlier attempt made the object is still open
        _quietly(wish.wait, pause(wish.attempt), error.sentence())
    else:
        _quietly(wish.write, state=State.REJECTED, message=error.sentence())


@contextmanager
def explaining(change: Wish, failed: str, sentence: Callable[[ConsoleError], str]) -> Iterator[None]:
    """The same for a change that may be tried again for as long as it takes; what is refused ends it as `failed`."""
    try:
        yield
    except Overtaken:
        log.info("overtaken", row=str(change.pk))
    except (TryLater, Unanswered) as error:
        after = max(getattr(error, "retry_after", 0.0), pause(change.attempt))
        _quietly(change.wait, after, error.sentence())
    except ConsoleError as error:
        _quietly(change.write, state=failed, message=sentence(error))
    except Exception:
        said = f"Something went wrong, reference {context.current().id}; trying again."
        _quietly(change.wait, pause(change.attempt), said)
        raise


def missing_velero(cluster: Cluster, error: ConsoleError) -> str:
    """The error as a sentence; that something is not there at all means that Velero is not."""
    if isinstance(error, Missing):
        where = f"{cluster} (namespace {cluster.velero_namespace})"
        return f"Velero is not installed in {where}. Install it, then try again."
    return error.sentence()


def _quietly(write: Callable[..., None], *args: Any, **values: Any) -> None:
    try:
        write(*args, **values)
    except Overtaken:
        log.info("overtaken while explaining")


def pause(attempt: int) -> float:
    """Seconds to the next attempt: 2, 4, 8 … one minute at most."""
    return min(LONGEST_PAUSE, 2.0 ** min(attempt, 6))


def settled(wish: VeleroWish, get: Callable[[], Report]) -> bool:
    """Whether an earlier attempt made the object already; if so the row says so now.

    An unanswered request is not a refused one: before anything is sent again, the cluster is asked by name.

    Raises Refused for a wish that is too old to be carried out now: when the console's database was restored from an
    old copy, what the copy knows as not sent may have been done, and its object removed since.
    """
    late = timezone.now() - wish.created_at > LATEST
    if wish.attempt > 1 or late:
        with contextlib.suppress(Missing):
            report = get()
            wish.asked = True
            begin(wish)
            note_submitted(wish, report)
            return True
    wish.asked = True
    if late:
        raise Refused(
            f"This was asked for more than {LATEST.days * 24} hours ago and is not in {wish.cluster}. "
            "Nothing is sent that late.",
            remedy="Ask for it again if you still want it.",
        )
    return False


def begin(wish: VeleroWish) -> None:
    """From here on something may have been sent."""
    if wish.state != State.SUBMITTING:
        wish.write(state=State.SUBMITTING, message="")


def note_submitted(wish: VeleroWish, report: Report) -> None:
    """The object is in the cluster. Raises Refused when it is somebody else's."""
    if report.request_id != str(wish.pk):
        raise Refused(f"An object named {wish.object_name} is in the cluster already, and it is not this request's.")
    wish.write(state=State.SUBMITTED, object_uid=report.uid, submitted_at=timezone.now(), due_at=None, message="")


def our_labels(wish: VeleroWish) -> dict[str, str]:
    """What ties an object in a cluster to its row."""
    return {
        names.REQUEST: str(wish.pk),
        names.CLUSTER: str(wish.cluster_id),
        names.PROJECT: str(wish.project_id),
        **(_labels_of_backup(wish) if isinstance(wish, Backup) else {}),
    }


def _labels_of_backup(backup: Backup) -> dict[str, str]:
    of_policy = {names.POLICY: str(backup.policy_id)} if backup.policy_id else {}
    return {names.LOCATION: str(backup.location_id), **of_policy}


def our_annotations(wish: VeleroWish) -> dict[str, str]:
    """What else makes a row of the object again, should the row be lost (`readoption`)."""
    what = {names.BACKUP: str(wish.backup_id)} if isinstance(wish, Restore) else {}
    return {names.REQUESTED_BY: wish.requested_by_name, names.CLUSTER_RESOURCES: wish.cluster_resources, **what}
