"""What a backup holds: namespaces, the objects in them by kind, one object as YAML, all of them as a file.

A worker reads it from the bucket into the spool; pages show it from there. Values of Secrets are in the spool only
when they were asked for, and are shown only to whoever has typed the password a short while ago.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb
from accounts.signin import is_recent, require_recent_sign_in
from backups.actions.reading import request_archive, request_contents, request_object
from backups.models import Backup, CheckState, Reading, ReadingKind
from backups.views.backup import backup_or_404
from backups.views.spooled import just_asked, own, stamp
from backups.views.tree import tree
from console.lib import live, spool
from console.lib.errors import BadInput, NotVisible

SHOW = "values"  # the field by which the values of a Secret are asked for


@require_http_methods(["GET", "POST"])
def backup_contents(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """GET shows the list that has been read for this person; POST has it read."""
    here = backup_or_404(request, backup, Verb.BACKUP_CONTENTS)
    if request.method == "POST":
        request_contents(by=request.user, of=here)
        return redirect(request.get_full_path())
    reading = own(request, here, ReadingKind.CONTENTS)
    if same := _ended_unchanged(request, reading):
        return same
    found = tree(reading.pk, request.GET) if reading else None
    return _page(request, "backups/contents.html", here, reading, tree=found)


@require_http_methods(["GET", "POST"])
def backup_object(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """One object, which the query string names; POST has it read, with the values of a Secret only if asked to."""
    here = backup_or_404(request, backup, Verb.BACKUP_CONTENTS)
    subject = {part: request.GET.get(part, "") for part in ("kind", "namespace", "name")}
    if request.method == "POST":
        return _read_object(request, here, subject)
    if not subject["name"]:
        return redirect("backup_contents", here.pk)
    which: dict[str, Any] = {f"subject__{part}": text for part, text in subject.items()}
    if not is_recent(request):
        which["revealed"] = False
    reading = own(request, here, ReadingKind.OBJECT, **which)
    if same := _ended_unchanged(request, reading):
        return same
    text = "\n".join(line for block in spool.blocks(reading.pk) for line in block) if reading else ""
    return _page(request, "backups/contents_object.html", here, reading, subject=subject, text=text, show=SHOW)


def _read_object(request: AuthenticatedHttpRequest, backup: Backup, subject: dict[str, str]) -> HttpResponse:
    revealed = SHOW in request.POST
    if revealed:
        require_recent_sign_in(request)
    try:
        request_object(by=request.user, of=backup, subject=subject, revealed=revealed)
    except BadInput:
        return redirect("backup_contents", backup.pk)
    return redirect(request.get_full_path())


@require_http_methods(["GET", "POST"])
def backup_archive(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """Everything as a file, Secrets included: POST has it fetched, GET shows how far it is."""
    here = backup_or_404(request, backup, Verb.BACKUP_CONTENTS)
    reading = own(request, here, ReadingKind.ARCHIVE)
    if request.method == "POST":
        require_recent_sign_in(request)
        if not reading or not reading.is_open:  # a second click is the same wish
            request_archive(by=request.user, of=here)
        return redirect(request.path)
    return _page(request, "backups/contents_archive.html", here, reading)


@require_GET
def backup_archive_file(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponseBase:
    """The file that was fetched for this person. Its length is said, so that one which was cut off is seen to be."""
    here = backup_or_404(request, backup, Verb.BACKUP_CONTENTS)
    reading = own(request, here, ReadingKind.ARCHIVE)
    if reading is None or reading.state != CheckState.COMPLETED:
        raise NotVisible("The file has not been fetched yet.")
    require_recent_sign_in(request)
    response = StreamingHttpResponse(spool.pieces(reading.pk), content_type="application/gzip")
    response["Content-Disposition"] = f'attachment; filename="{here.object_name}.tar.gz"'
    response["Content-Length"] = str(reading.size)
    patch_cache_control(response, no_store=True)
    return response


def _ended_unchanged(request: AuthenticatedHttpRequest, reading: Reading | None) -> HttpResponse | None:
    """A long list is not gone through again for somebody who has it."""
    return live.unchanged(request, stamp(reading)) if reading and not reading.is_open else None


def _page(
    request: AuthenticatedHttpRequest, template: str, backup: Backup, reading: Reading | None, **more: Any
) -> HttpResponse:
    context = {"backup": backup, "cluster": backup.cluster, "project": backup.project, "section": "clusters"}
    busy = bool(reading and reading.is_open)
    pace: dict[str, Any] = {"busy": busy, "soon": busy and just_asked(reading), "stamp": stamp(reading)}
    response = live.page_response(request, template, "contents", context | {"reading": reading} | more, **pace)
    patch_cache_control(response, no_store=True)
    return response
