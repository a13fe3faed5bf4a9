"""What a bucket's own settings mean for backups. Nothing here is a fault; locks and old versions should be known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from backups.storage.store import BucketSettings
from console.lib.errors import clip

_TO_READ = {
    "aws": "s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration and s3:GetEncryptionConfiguration",
    "gcp": "storage.buckets.get",
}
Words = tuple[str, str]  # cause and remedy


def describe(settings: BucketSettings | None, provider: str) -> tuple[Literal["pass", "warning", "skipped"], str, str]:
    """Outcome, cause and remedy of the step."""
    if settings is None:
        return "skipped", f"Not to be seen with these rights; backups do not need them ({_TO_READ[provider]}).", ""
    cautions = list(_cautions(settings))
    notes = " ".join(_notes(settings))
    if not cautions:
        return "pass", notes, ""
    causes, remedies = zip(*cautions, strict=True)
    return "warning", f"{' '.join(causes)} {notes}".strip(), " ".join(dict.fromkeys(filter(None, remedies)))


def _cautions(settings: BucketSettings) -> Iterator[Words]:
    if settings.locked_days:
        mode = f", {clip(settings.lock_mode.lower(), 20)} mode" if settings.lock_mode else ""
        yield (
            f"The bucket locks each new object for {days(settings.locked_days)}{mode}: until then deleting a backup "
            "and its expiry fail, or hide the objects and free no room.",
            "Keep backups longer than the lock lasts, or use a bucket without a lock.",
        )
    if settings.held:
        yield (
            "The bucket puts a hold on each new object: deleting a backup and its expiry fail until it is let go.",
            "Turn the default hold off, or use another bucket.",
        )
    if settings.versioning:
        yield (
            "The bucket keeps old versions: what is deleted or has expired goes on taking room.",
            "Add a lifecycle rule that removes versions that are not current.",
        )


def _notes(settings: BucketSettings) -> Iterator[str]:
    if settings.locks and not settings.locked_days:
        yield "Object lock is on, but locks nothing by itself."
    if settings.kept_days:
        yield f"What is deleted can be brought back for {days(settings.kept_days)}, and takes room until then."
    if settings.encryption:
        yield f"The bucket encrypts with the key {clip(settings.encryption, 120)}, which must stay usable to restore."


def days(number: float) -> str:
    """A length of time in words."""
    if number < 2:
        hours = max(1, round(number * 24))
        return "1 hour" if hours == 1 else f"{hours} hours"
    return f"{round(number)} days"
