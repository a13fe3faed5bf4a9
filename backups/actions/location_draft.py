"""A location that is being added: what was typed is kept until it is saved, so that nothing has to be typed twice.

1. Every *Validate* is one LocationCheck; its draft holds the form (`typed`), the location's fields, and the `effort`
   that it shares with the other checks of the same form.
2. A form that cannot be tried is kept as a check that ended before it began. Keys are write-only, so this row is the
   only place where they are while the rest is mended.
3. *Save* makes the location out of the draft that was tried, and removes the effort's other drafts.
4. What is never saved is removed after a day (reconcile/location_draft.py).

A draft is its creator's only. One that edits a saved location says so in `edits`; it begins with what is saved, and
remembers of which version that was.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.permissions import Verb, require
from backups import configuration
from backups.actions.location import (
    NEEDED,
    create_location,
    refuse_moving,
    request_check,
    request_recheck,
    require_drafting,
    update_location,
)
from backups.models import BackupLocation, CheckState, LocationCheck, Provider, SignIn
from backups.reconcile.location import is_read_only
from backups.reconcile.location_draft import LIVES
from backups.reconcile.location_trial import may_tell
from backups.storage import service_account
from backups.storage.probe import titles
from backups.storage.target import StorageTarget
from backups.storage.target import check as refuse_hopeless
from console.lib import outbound
from console.lib.errors import BadInput, NotVisible
from console.lib.rows import save_new
from workspaces.models import Cluster, Project

UNOCCUPIED = "unoccupied"
ROLE = ("role_arn", "external_id")
_BEFORE_SAVED = {UNOCCUPIED: "Nobody else's backups are here"}


@transaction.atomic
def validate(
    *,
    by: User,
    project: Project,
    typed: Mapping[str, Any],
    earlier: LocationCheck | None = None,
    edits: BackupLocation | None = None,
) -> LocationCheck:
    """Have what was typed tried. Asked for twice at once, it is tried once.

    Raises BadInput for what cannot be right, before anything is sent anywhere.
    """
    fields = _fields(typed)
    if edits:
        refuse_moving(edits, fields)
    refuse_hopeless(_target(fields), loopback=outbound.policy().allow_loopback)
    _refuse_taken_name(project, typed["name"], edits)
    _refuse_taken_place(project, fields, edits)
    draft = {**fields, "typed": dict(typed), **_begun(earlier, edits)}
    same = _same_and_running(by, project, draft, edits)
    return same or request_check(by=by, project=project, edits=edits, **draft)


@transaction.atomic
def ask(*, by: User, check: LocationCheck, cluster: Cluster) -> LocationCheck:
    """Have what `check` tried judged by a cluster's Velero. Asked for twice at once, it is asked once.

    Raises BadInput, NotVisible.
    """
    require(by, cluster, Verb.CLUSTER_UPDATE)
    if check.draft is None or not was_tried(check):
        raise BadInput("Validate the location first.")
    same = _same_and_running(by, check.project, check.draft, check.edits, cluster)
    draft = dict(check.draft)
    return same or request_check(by=by, project=check.project, edits=check.edits, asked_of=cluster, **draft)


def may_ask(check: LocationCheck) -> bool:
    """Whether a cluster's Velero can know better than the console does, of a place that clusters are to write to."""
    reads = bool(check.draft and check.draft.get("read_only"))
    return not reads and check.state != CheckState.COMPLETED and may_tell(check.steps)


@transaction.atomic
def keep(
    *,
    by: User,
    project: Project,
    typed: Mapping[str, Any],
    earlier: LocationCheck | None = None,
    edits: BackupLocation | None = None,
) -> LocationCheck:
    """Keep what was typed although it cannot be tried yet."""
    require_drafting(by, project, edits)
    draft = {"typed": dict(typed), **_begun(earlier, edits)}
    if earlier is not None and not was_tried(earlier):
        earlier.draft = draft
        earlier.save(update_fields=["draft"])
        return earlier
    check = LocationCheck(project=project, edits=edits, draft=draft, requested_by=by, due_at=None)
    check.requested_by_name = str(by)
    check.state, check.finished_at = CheckState.FAILED, timezone.now()
    check.message = "Something in the form could not be right, so nothing was tried."
    save_new(check)
    return check


@transaction.atomic
def save(*, by: User, check: LocationCheck, name: str, unvalidated: bool = False) -> BackupLocation:
    """Make the location out of what `check` tried, or change the one it edits. Asked for twice, it is done once.

    Raises BadInput, NotVisible.
    """
    held = LocationCheck.objects.select_for_update().filter(pk=check.pk).first()
    if held is None:
        raise NotVisible("This draft is gone.")
    if held.location is not None:
        return held.location
    if not was_tried(held):
        raise BadInput("Validate the location first; it is saved once every step has passed.")
    _refuse_taken_name(held.project, name, held.edits)
    others = _others(held)
    write = update_location if held.edits else create_location
    location = write(by=by, check=held, name=name, unvalidated=unvalidated)
    others.delete()
    return location


@transaction.atomic
def recheck(*, by: User, location: BackupLocation) -> LocationCheck:
    """Have a saved location tried again; while that runs, asking again changes nothing."""
    running: LocationCheck | None = LocationCheck.objects.open().filter(location=location).first()
    return running or request_recheck(by=by, location=location)


@transaction.atomic
def discard(*, check: LocationCheck) -> None:
    """Remove a draft and the others of its effort."""
    _others(check).delete()
    check.delete()


def own_draft(*, by: User, project: Project, pk: uuid.UUID, edits: BackupLocation | None = None) -> LocationCheck:
    """This person's draft, or the check that a location of theirs was made from. Raises NotVisible."""
    theirs = _own(by.pk, project.pk, edits).filter(pk=pk)
    found: LocationCheck | None = theirs.select_related("location", "edits", "project__tenant").first()
    if found is None or (found.draft is None and found.location is None):
        raise NotVisible("There is no such draft.")
    return found


def unfinished(*, by: User, project: Project, edits: BackupLocation | None = None) -> LocationCheck | None:
    """What this person typed last and has not saved."""
    recent = _own(by.pk, project.pk, edits).filter(
        location=None, draft__isnull=False, created_at__gt=timezone.now() - LIVES
    )
    found: LocationCheck | None = recent.first()
    return found


def typed_in(check: LocationCheck | None) -> dict[str, Any]:
    """The form as it was when `check` was asked for, secrets included: never for a page. Empty when there was none."""
    return dict(check.draft.get("typed", {})) if check and check.draft else {}


def service_account_email(typed: Mapping[str, Any]) -> str:
    """Whose key was typed, which is no secret; empty when none was, or something else."""
    try:
        return service_account.read(typed.get("service_account", ""), loopback=True).email
    except BadInput:
        return ""


def was_tried(check: LocationCheck) -> bool:
    """Whether anything was sent: not so for a form that was only kept."""
    return check.draft is None or "bucket" in check.draft


def is_as_tried(check: LocationCheck, typed: Mapping[str, Any]) -> bool:
    """Whether the form still says what `check` tried; the name may differ."""
    return (
        bool(check.draft)
        and was_tried(check)
        and all(check.draft.get(key) == value for key, value in _fields(typed).items())
    )


def steps_of(check: LocationCheck | None) -> list[dict[str, str]]:
    """The steps of `check` for a page: those done, and while it runs those to come."""
    if check is None:
        return []
    done = [_briefly(step, before) for step, before in zip(check.steps, [{}, *check.steps], strict=False)]
    if not check.is_open:
        return done
    seen = {step["id"] for step in done}
    reads = is_read_only(check)
    known = titles(write=not reads)
    all_titles = known if check.location_id or reads else known | _BEFORE_SAVED
    rest = [{"id": id, "title": title, "outcome": "waiting"} for id, title in all_titles.items() if id not in seen]
    if rest:
        rest[0]["outcome"] = "running"
    return done + rest


def _briefly(step: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """What several steps in a row were not tried for is said at the first."""
    repeats = step["outcome"] == "skipped" == before.get("outcome") and step["cause"] == before["cause"]
    return step | {"cause": ""} if repeats else step


def _own(person: uuid.UUID | None, project: uuid.UUID, edits: BackupLocation | None) -> Any:
    mine = LocationCheck.objects.filter(requested_by=person, project=project, edits=edits)
    return mine.order_by("-created_at")


def _begun(earlier: LocationCheck | None, edits: BackupLocation | None) -> dict[str, Any]:
    """What an effort keeps from its first draft on: its own id, and the version that is being edited."""
    if earlier and earlier.draft and "effort" in earlier.draft:
        return {name: earlier.draft[name] for name in ("effort", "of_version") if name in earlier.draft}
    begun: dict[str, Any] = {"effort": uuid.uuid4().hex}
    return begun | ({"of_version": edits.credentials_version} if edits else {})


def _others(check: LocationCheck) -> Any:
    """The effort's other drafts. It is inside the ciphertext, so the person's few open drafts are opened one by one."""
    drafts = (
        _own(check.requested_by_id, check.project_id, check.edits)
        .filter(location=None, draft__isnull=False)
        .exclude(pk=check.pk)
    )
    effort = (check.draft or {}).get("effort")
    same = [row.pk for row in drafts if effort and row.draft.get("effort") == effort]
    return LocationCheck.objects.filter(pk__in=same)


def _same_and_running(
    by: User, project: Project, draft: dict[str, Any], edits: BackupLocation | None, asked_of: Cluster | None = None
) -> LocationCheck | None:
    mine = LocationCheck.objects.open().filter(requested_by=by, project=project, location=None, edits=edits)
    for check in mine.filter(asked_of=asked_of):
        if check.draft and check.draft["typed"] == draft["typed"]:
            return check
    return None


def _fields(typed: Mapping[str, Any]) -> dict[str, Any]:
    """BackupLocation's fields. AWS and S3-compatible stores are one provider to Velero."""
    return _of_store(typed) | {"read_only": bool(typed.get("read_only"))}


def _of_store(typed: Mapping[str, Any]) -> dict[str, Any]:
    sign_in = sign_in_of(typed)
    credentials = {name: typed[name] for name in NEEDED[sign_in]}
    if sign_in == SignIn.SERVICE_ACCOUNT:
        credentials = {"service_account": _known_part(typed["service_account"])}
        return _of_google(typed) | {"sign_in": sign_in.value, "credentials": credentials}
    names = ("bucket", "prefix", "region", "s3_url", "path_style", *(ROLE if sign_in.takes_role else ()))
    fields = dict.fromkeys(ROLE, "") | {name: typed[name] for name in names}
    known = {"provider": Provider.AWS.value, "ca_certificate": typed["certificate"]}
    return fields | known | {"sign_in": sign_in.value, "credentials": credentials}


def sign_in_of(typed: Mapping[str, Any]) -> SignIn:
    """The choice belongs to AWS's card; the others leave none. Forms from before there was a choice have keys."""
    by_provider = {"gcp": SignIn.SERVICE_ACCOUNT, "s3": SignIn.KEYS}
    return by_provider.get(typed.get("provider", "")) or SignIn(typed.get("sign_in") or SignIn.KEYS)


def _known_part(text: str) -> str:
    """The key file without what nobody knows; as it is while it is no key file."""
    try:
        return service_account.read(text, loopback=True).text
    except BadInput:
        return text


def _of_google(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Of the other cards' fields nothing is left."""
    place = {name: typed[name] for name in ("bucket", "prefix")}
    blank = dict.fromkeys(("region", "s3_url", "ca_certificate", *ROLE), "")
    return place | blank | {"path_style": False, "provider": Provider.GCP.value}


def _target(fields: Mapping[str, Any]) -> StorageTarget:
    names = ("provider", "sign_in", "bucket", "prefix", "region", "s3_url", "path_style", *ROLE)
    plain = {name: fields[name] for name in names}
    return StorageTarget(**plain, ca_pem=fields["ca_certificate"] or None, **fields["credentials"])


def _refuse_taken_name(project: Project, name: str, edits: BackupLocation | None) -> None:
    if _others_in(project, edits).filter(name=name).exists():
        raise BadInput("A location of this name is in the project already.", field="name", remedy="Choose another one.")


def _refuse_taken_place(project: Project, fields: Mapping[str, Any], edits: BackupLocation | None) -> None:
    """Only in the project itself: that a place elsewhere is taken is told to those with its keys, when they save it."""
    place = {name: fields[name] for name in ("provider", "s3_url", "bucket", "prefix", "read_only")}
    taken = _others_in(project, edits).filter(**place).first()
    if taken:
        raise BadInput(
            f"The location {taken} uses this bucket and prefix already.",
            field="prefix",
            remedy="Choose another prefix.",
        )


def _others_in(project: Project, edits: BackupLocation | None) -> Any:
    here = BackupLocation.objects.filter(project=project)
    return here.exclude(pk=edits.pk) if edits else here


# Editing


def saved_as_typed(location: BackupLocation) -> dict[str, Any]:
    """What somebody would have typed to get this location, secrets included: never for a page."""
    plain = ("name", "bucket", "prefix", "region", "s3_url", "path_style", "role_arn", "external_id", "read_only")
    typed = {name: getattr(location, name) for name in plain}
    line = configuration.one_line(**{name: typed[name] for name in ("region", "path_style", "s3_url")})
    card = "s3" if location.s3_url and location.sign_in == SignIn.KEYS else str(location.provider)
    keys: dict[str, Any] = dict.fromkeys(("access_key", "secret_key", "service_account"), "") | location.credentials
    chosen = {"provider": card, "sign_in": location.sign_in, "certificate": location.ca_certificate}
    unsaid = set() if location.external_id else {"external_id"}  # for a role to come one is proposed
    return (
        {name: value for name, value in typed.items() if name not in unsaid} | chosen | keys | {"configuration": line}
    )


def only_renames(location: BackupLocation, typed: Mapping[str, Any]) -> bool:
    """Whether the form says what is saved, but for the name."""
    return all(getattr(location, name) == value for name, value in _fields(typed).items())
