"""The pages of every wizard."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, require
from accounts.signin import require_recent_sign_in
from console.lib.errors import BadInput, NotVisible
from console.lib.live import page_response
from workspaces import wizard as engine
from workspaces.models import Draft
from workspaces.wizard import REVIEW, Step, Wizard, first_open, form_of, is_done, save_typed, step_url, summary

LARGEST_FILE = 2**20
BOTH = "Paste the text or choose a file, not both."


@require_http_methods(["GET", "POST"])
def wizard_step(request: AuthenticatedHttpRequest, draft: uuid.UUID, step: str) -> HttpResponse:
    """One step: shown with what was typed, or saved and left."""
    here = _draft(request, draft)
    wizard = engine.wizard_of(here)
    if here.done_url:
        return redirect(here.done_url)
    if step == REVIEW:
        return _review(request, wizard, here)
    return _step(request, wizard, here, wizard.step(step))


def _step(request: AuthenticatedHttpRequest, wizard: Wizard, draft: Draft, step: Step) -> HttpResponse:
    go = request.POST.get("go", "on")
    if request.method == "POST":
        save_typed(step, draft, with_files(request, step.form(draft, None)))
        if go == "save":  # typed and left: no answer is expected
            return HttpResponse(status=204)
        if go == "back":
            return redirect(step_url(draft, wizard.before(step.slug) or step.slug))
        if _goes_on(request, draft, step):
            return redirect(step_url(draft, wizard.after(step.slug)))
    form = form_of(step, draft)
    context = _context(wizard, draft, step.slug) | {"step": step, "form": form, "missing": step.missing(draft)}
    context |= step.about(draft)
    response = page_response(request, step.template, "live", context, busy=bool(context.get("busy")))
    response.status_code = 422 if request.method == "POST" and form.errors else response.status_code
    return response


def with_files(request: AuthenticatedHttpRequest, form: forms.Form) -> QueryDict:
    """What was posted, files as text: the form's `file_fields` say which field a file stands for.

    A draft holds text, so that a chosen file is not lost when something else on the page is wrong. What is wrong with
    the file itself is put into the file's own field, whose form says it.
    """
    posted = request.POST.copy()
    for name, target in getattr(form, "file_fields", {}).items():
        posted[name] = ""
        if file := request.FILES.get(name):
            text, posted[name] = _text_of(file)
            if posted.get(target, "").strip():
                posted[name] = BOTH
            posted[target] = text or posted.get(target, "")
    return posted


def _text_of(file: UploadedFile) -> tuple[str, str]:
    """The file as text, and what is wrong with it."""
    if (file.size or 0) > LARGEST_FILE:
        return "", "This file is larger than 1 MiB. Choose another one."
    try:
        return str(file.read(), "utf-8"), ""
    except UnicodeDecodeError:
        return "", "This file is not text. Choose another one."


def _goes_on(request: AuthenticatedHttpRequest, draft: Draft, step: Step) -> bool:
    form = form_of(step, draft)
    if form.is_valid():
        step.saved(draft, form, request.user)
    return not form.errors and is_done(step, draft)


def _review(request: AuthenticatedHttpRequest, wizard: Wizard, draft: Draft) -> HttpResponse:
    if unfinished := first_open(wizard, draft):
        return redirect(step_url(draft, unfinished.slug))
    error: BadInput | None = None
    if request.method == "POST":
        if wizard.recent_sign_in:
            require_recent_sign_in(request)
        try:
            return redirect(_finish(request, wizard, draft))
        except BadInput as refused:
            error = refused
    steps = [(step, step_url(draft, step.slug), summary(step, draft)) for step in wizard.steps]
    context = _context(wizard, draft, REVIEW) | {"reviewed": steps, "error": error}
    context |= {"mend": _step_with(wizard, draft, error.field) if error else ""}
    return render(request, "wizard/review.html", context, status=422 if error else 200)


@transaction.atomic
def _finish(request: AuthenticatedHttpRequest, wizard: Wizard, draft: Draft) -> str:
    """Once, however often it is confirmed: the second one waits for the first and goes where that led."""
    draft = Draft.objects.select_for_update().get(pk=draft.pk)
    if not draft.done_url:
        forms = {step.slug: form_of(step, draft) for step in wizard.steps}
        for form in forms.values():
            form.is_valid()
        draft.done_url = wizard.finish(draft, request.user, forms)
        draft.data = {}  # what was typed, secrets among it, has done its service
        draft.save(update_fields=["done_url", "data", "updated_at"])
    return draft.done_url


def _step_with(wizard: Wizard, draft: Draft, field: str) -> str:
    """The URL of the step that has the field at fault; of the first one when none has."""
    found = next((step for step in wizard.steps if field in form_of(step, draft).fields), wizard.steps[0])
    return step_url(draft, found.slug)


def _context(wizard: Wizard, draft: Draft, here: str) -> dict[str, Any]:
    marks = [(step.title, step_url(draft, step.slug), is_done(step, draft), step.slug == here) for step in wizard.steps]
    ready = all(done for _, _, done, _ in marks)
    marks.append(("Review", step_url(draft, REVIEW) if ready else "", False, here == REVIEW))
    back = wizard.before(here)
    return {
        "wizard": wizard,
        "draft": draft,
        "project": draft.project,
        "section": wizard.section,
        "marks": marks,
        "position": next(number for number, mark in enumerate(marks, 1) if mark[3]),
        "back": step_url(draft, back) if back else "",
        "leave": wizard.leave(draft),
        **wizard.about(draft),
    }


def _draft(request: AuthenticatedHttpRequest, pk: uuid.UUID) -> Draft:
    """The draft, if it is this person's own and they still know its project. Its wizard asks for more."""
    found = Draft.objects.filter(pk=pk, owner=request.user).select_related("project").first()
    if found is None:
        raise NotVisible("There is nothing here.")
    require(request.user, found.project, Verb.PROJECT_LIST)
    found.owner = request.user
    return found
