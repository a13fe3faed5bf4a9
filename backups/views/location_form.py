"""Adding a backup location and editing one: the same form, tried before it is saved."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb
from backups.actions import location_draft as drafts
from backups.actions.location import default_prefix, may_save_unvalidated, rename_location
from backups.forms.location import SECRETS, LocationForm
from backups.forms.location_ask import AskForm
from backups.forms.location_edit import PLACE, LocationEditForm
from backups.models import BackupLocation, LocationCheck
from backups.views.location import context_of, location_of, project_of, runs
from backups.views.location_help import SHOWN, Help
from console.lib import live
from console.lib.errors import BadInput
from workspaces.models import Project

SAVE, SAVE_ANYWAY, KEEP, DISCARD, ASK = "save", "save_anyway", "keep", "discard", "ask"
SECRET_FIELDS = ("access_key", "secret_key", "service_account")
FRAGMENT = "backups/location_create.html#validation"


@dataclass(frozen=True)
class Sheet:
    """What is filled in: a location to come, or one that is edited."""

    project: Project
    edits: BackupLocation | None = None
    read_only: bool = False  # of one to come, unless its draft says otherwise

    @property
    def template(self) -> str:
        return f"backups/location_{'edit' if self.edits else 'create'}.html"

    def form(self, check: LocationCheck | None, *posted: Any) -> LocationForm:
        """As it was when `check` was asked for, or as it was posted."""
        kept = drafts.typed_in(check)
        if self.edits:
            return LocationEditForm(*posted, location=self.edits, kept=kept)
        proposed = default_prefix(self.project)
        return LocationForm(*posted, default_prefix=proposed, kept=kept, read_only=self.read_only)

    def address(self, check: LocationCheck) -> str:
        if self.edits:
            return reverse("location_edit_draft", args=[self.edits.pk, check.pk])
        return reverse("location_draft", args=[self.project.pk, check.pk])

    def leave(self) -> str:
        """Where *Cancel* and *Discard* go."""
        if self.edits:
            return reverse("location_detail", args=[self.edits.pk])
        return reverse("location_list", args=[self.project.pk])


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters(*SECRET_FIELDS)
def location_create(
    request: AuthenticatedHttpRequest, project: uuid.UUID, draft: uuid.UUID | None = None
) -> HttpResponse:
    """The form, alone or as it was when `draft` was asked for. POST has it tried, saves it or drops it."""
    return _answer(request, Sheet(project_of(request, project, Verb.LOCATION_CREATE)), draft)


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters(*SECRET_FIELDS)
def location_open(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The same form, to open a bucket that holds backups already: it is only read from."""
    return _answer(request, Sheet(project_of(request, project, Verb.LOCATION_CREATE), read_only=True), None)


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters(*SECRET_FIELDS)
def location_edit(
    request: AuthenticatedHttpRequest, location: uuid.UUID, draft: uuid.UUID | None = None
) -> HttpResponse:
    """The same form over what is saved; keys that are left blank stay as they are."""
    here = location_of(request, location, Verb.LOCATION_UPDATE)
    if here.deleting_at:
        messages.error(request, f"{here} is being deleted.")
        return redirect("location_detail", here.pk)
    return _answer(request, Sheet(here.project, here), draft)


def _answer(request: AuthenticatedHttpRequest, sheet: Sheet, draft: uuid.UUID | None) -> HttpResponse:
    by, project, edits = request.user, sheet.project, sheet.edits
    check = drafts.own_draft(by=by, project=project, edits=edits, pk=draft) if draft else None
    if check and check.location_id:
        return redirect("location_detail", check.location_id)
    if request.method == "POST":
        return _posted(request, sheet, check)
    other = None if check else drafts.unfinished(by=by, project=project, edits=edits)
    context = _form_context(sheet, sheet.form(check), check) | {"unfinished": other}
    if live.wanted(request):
        return live.fragment_response(request, FRAGMENT, context, busy=runs(check))
    return live.page_response(request, sheet.template, "validation", context, busy=runs(check))


def _posted(request: AuthenticatedHttpRequest, sheet: Sheet, check: LocationCheck | None) -> HttpResponse:
    wish = request.POST.get("do", "")
    if wish == DISCARD and check:
        drafts.discard(check=check)
        return redirect(sheet.leave())
    form = sheet.form(check, request.POST, request.FILES)
    if wish == KEEP:
        return _keep(request, sheet, form, check)
    if wish in (SAVE, SAVE_ANYWAY) and check and _still_says(form, check):
        return _save(request, sheet, form, check)
    if wish == ASK and check and _still_says(form, check):
        return _ask(request, sheet, form, check)
    if wish == SAVE and sheet.edits and form.is_valid() and drafts.only_renames(sheet.edits, form.typed()):
        return _rename(request, sheet.edits, form, check)
    return _validate(request, sheet, form, check)


def _keep(
    request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, check: LocationCheck | None
) -> HttpResponse:
    """What static/js/location.js sends as fields are left. Answers where the draft is now."""
    if not (check and _still_says(form, check)):
        form.full_clean()
        check = _kept(request, sheet, form, check)
    return HttpResponse(status=204, headers={"Draft-Location": sheet.address(check)})


def _kept(
    request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, earlier: LocationCheck | None
) -> LocationCheck:
    typed = form.typed()
    return drafts.keep(by=request.user, project=sheet.project, edits=sheet.edits, typed=typed, earlier=earlier)


def _still_says(form: LocationForm, check: LocationCheck) -> bool:
    return form.is_valid() and drafts.is_as_tried(check, form.typed())


def _save(request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, check: LocationCheck) -> HttpResponse:
    anyway = request.POST.get("do") == SAVE_ANYWAY
    try:
        location = drafts.save(by=request.user, check=check, name=form.cleaned_data["name"], unvalidated=anyway)
    except BadInput as error:
        return _refused(request, sheet, form.again(error), check)
    return _saved(request, location, "changed" if sheet.edits else "added")


def _ask(request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, check: LocationCheck) -> HttpResponse:
    """What the console cannot try from here is tried by a cluster's Velero."""
    asked = AskForm(request.POST, project=sheet.project)
    if not asked.is_valid():
        return _refused(request, sheet, form.again(BadInput("Choose a cluster whose Velero is to be asked.")), check)
    return redirect(
        sheet.address(drafts.ask(by=request.user, check=check, cluster=asked.cleaned_data["cluster"])) + "#validation"
    )


def _rename(
    request: AuthenticatedHttpRequest, location: BackupLocation, form: LocationForm, check: LocationCheck | None
) -> HttpResponse:
    """Nothing has to be tried for another name."""
    sheet = Sheet(location.project, location)
    try:
        renamed = rename_location(by=request.user, location=location, name=form.cleaned_data["name"])
    except BadInput as error:
        return _refused(request, sheet, form.again(error), check or _kept(request, sheet, form, None))
    if check:
        drafts.discard(check=check)
    return _saved(request, renamed, "changed")


def _saved(request: AuthenticatedHttpRequest, location: BackupLocation, done: str) -> HttpResponse:
    messages.success(request, f"The backup location {location.name} was {done}.")
    return redirect("location_detail", location.pk)


def _validate(
    request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, earlier: LocationCheck | None
) -> HttpResponse:
    """Also where *Save* ends when something was changed: only what was tried can be saved."""
    refusal = None
    typed = form.typed() if form.is_valid() else None
    by, project, edits = request.user, sheet.project, sheet.edits
    try:
        if typed is not None:
            check = drafts.validate(by=by, project=project, edits=edits, typed=typed, earlier=earlier)
            if request.POST.get("do") in (SAVE, SAVE_ANYWAY):
                messages.info(request, "Something was changed since it was validated, so it is validated once more.")
            return redirect(sheet.address(check) + "#validation")
    except BadInput as error:
        refusal = error
    return _refused(request, sheet, form.again(refusal), _kept(request, sheet, form, earlier))


def _refused(request: AuthenticatedHttpRequest, sheet: Sheet, form: LocationForm, check: LocationCheck) -> HttpResponse:
    return render(request, sheet.template, _form_context(sheet, form, check), status=422)


def _form_context(sheet: Sheet, form: LocationForm, check: LocationCheck | None) -> dict[str, Any]:
    tried = check if check and drafts.was_tried(check) else None
    steps, kept = drafts.steps_of(tried), drafts.typed_in(check) or form.kept
    return context_of(sheet.project) | {
        "form": form,
        "check": tried,
        "steps": steps,
        "ask": AskForm(project=sheet.project) if tried and not tried.is_open and drafts.may_ask(tried) else None,
        "warned": any(step["outcome"] == "warning" for step in steps),
        "is_set": {name: bool(kept.get(name)) for name in SECRETS},
        "service_account_email": drafts.service_account_email(kept),
        "help": Help.of({name: form[name].value() for name in SHOWN}, drafts.service_account_email(kept)),
        "draft_url": sheet.address(check) if check else "",
        "leave_url": sheet.leave(),
        "location": sheet.edits,
        "reads": form.reads,
        **_fixed(sheet, form),
        "may_save_anyway": may_save_unvalidated(sheet.project),
        "unfinished": None,
    }


def _fixed(sheet: Sheet, form: LocationForm) -> dict[str, Any]:
    """Why the place cannot change, and what stands for it in the form, unseen, for static/js/location.js."""
    saved = drafts.saved_as_typed(sheet.edits) if sheet.edits else {}
    return {"fixed": getattr(form, "fixed", ""), "fixed_place": {name: saved[name] for name in PLACE if saved}}
