"""Wizards: a draft row and one URL per step.

1. `begin()` makes the draft; each step's page saves what is typed into it, valid or not, and goes on when it is valid.
2. Any step can be visited again, in any order; a draft can be left and resumed, and outlives the session.
3. The last page reviews all steps; *Confirm* calls the wizard's `finish` once. The draft's id goes along as the
   submission, and where it led is remembered: a double click or a reload makes one thing.

A draft is its creator's only. What a form names in `secret_fields` is never shown again: left blank, it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse

from accounts.models import User
from console.lib.errors import NotVisible
from workspaces.models import Draft, Project

REVIEW = "review"
UNSAVED = ("csrfmiddlewaretoken", "go")

Summary = list[tuple[str, str]]


@dataclass(frozen=True)
class Step:
    """One page. `form(draft, data)` makes the form, unbound when `data` is None.

    `template` shows it (it extends wizard/step.html); `about(draft)` adds to the template's context;
    `saved(draft, form, user)` is called when it was submitted and valid; `missing(draft)` says what else keeps one from
    going on, or "".
    """

    slug: str
    title: str
    form: Callable[[Draft, QueryDict | None], forms.Form]
    template: str = "wizard/step.html"
    lead: str = ""
    about: Callable[[Draft], Mapping[str, Any]] = lambda draft: {}
    saved: Callable[[Draft, Any, User], None] = lambda draft, form, user: None
    missing: Callable[[Draft], str] = lambda draft: ""
    summary: Callable[[Any], Summary] | None = None


@dataclass(frozen=True)
class Wizard:
    """`finish(draft, user, forms)` does it and gives the URL to go to; it may raise BadInput for a field of a step.

    With `recent_sign_in` the password must have been typed a short while ago when it is confirmed.
    """

    kind: str
    title: str
    steps: tuple[Step, ...]
    finish: Callable[[Draft, User, Mapping[str, Any]], str]
    confirm: str = "Confirm"
    section: str = "clusters"
    leave: Callable[[Draft], str] = field(default=lambda draft: reverse("project_overview", args=[draft.project_id]))
    about: Callable[[Draft], Mapping[str, Any]] = lambda draft: {}
    recent_sign_in: bool = False

    def step(self, slug: str) -> Step:
        """Raises NotVisible for a step this wizard does not have."""
        for step in self.steps:
            if step.slug == slug:
                return step
        raise NotVisible("There is no such step.")

    def after(self, slug: str) -> str:
        """The step behind this one, the review at the end."""
        slugs = [*(step.slug for step in self.steps), REVIEW]
        return slugs[slugs.index(slug) + 1]

    def before(self, slug: str) -> str:
        """The step before this one, empty at the beginning."""
        slugs = ["", *(step.slug for step in self.steps), REVIEW]
        return slugs[slugs.index(slug) - 1]


_wizards: dict[str, Wizard] = {}


def register(wizard: Wizard) -> Wizard:
    """Make the wizard known under its kind."""
    _wizards[wizard.kind] = wizard
    return wizard


def wizard_of(draft: Draft) -> Wizard:
    return _wizards[draft.kind]


def begin(wizard: Wizard, *, owner: User, project: Project, **notes: str) -> str:
    """Make a draft; the URL of its first step."""
    data = {f"_{name}": value for name, value in notes.items()}
    draft = Draft.objects.create(kind=wizard.kind, owner=owner, project=project, data=data)
    return step_url(draft, wizard.steps[0].slug)


def step_url(draft: Draft, slug: str) -> str:
    return reverse("wizard_step", args=[draft.pk, slug])


def form_of(step: Step, draft: Draft) -> forms.Form:
    """The step's form with what was typed; unbound when nothing was."""
    typed = draft.data.get(step.slug)
    return step.form(draft, None if typed is None else _query(typed))


def is_done(step: Step, draft: Draft) -> bool:
    """Whether the step holds all it must."""
    form = form_of(step, draft)
    return form.is_bound and form.is_valid() and not step.missing(draft)


def first_open(wizard: Wizard, draft: Draft) -> Step | None:
    """The first step that still misses something."""
    return next((step for step in wizard.steps if not is_done(step, draft)), None)


def save_typed(step: Step, draft: Draft, posted: QueryDict) -> None:
    """Keep what was posted, valid or not. A secret left blank stays what it was."""
    typed = {name: values for name, values in posted.lists() if name not in UNSAVED}
    before = draft.data.get(step.slug) or {}
    for name in getattr(step.form(draft, None), "secret_fields", ()):
        if not "".join(typed.get(name, [])).strip() and before.get(name):
            typed[name] = before[name]
    draft.data = draft.data | {step.slug: typed}
    draft.save(update_fields=["data", "updated_at"])


def summary(step: Step, draft: Draft) -> Summary:
    """What the review shows of a step: label and value of each field."""
    form = form_of(step, draft)
    form.is_valid()
    return step.summary(form) if step.summary else [_shown(form, name) for name in form.fields]


def _shown(form: forms.Form, name: str) -> tuple[str, str]:
    bound, value = form[name], form.cleaned_data.get(name) if form.is_bound else None
    label = str(bound.label)
    if name in getattr(form, "secret_fields", ()):
        return label, "Set" if value else "Not set"
    if isinstance(value, bool):
        return label, "Yes" if value else "No"
    names = {str(key): str(text) for key, text in getattr(bound.field, "choices", [])}
    values = value if isinstance(value, list | tuple) else [value]
    return label, ", ".join(names.get(str(each), str(each)) for each in values if each not in (None, "")) or "—"


def purge_drafts() -> int:
    """Throw away what nobody has touched for a day; how many there were."""
    return Draft.objects.stale().delete()[0]


def _query(typed: Mapping[str, list[str]]) -> QueryDict:
    query = QueryDict(mutable=True)
    for name, values in typed.items():
        query.setlist(name, list(values))
    return query
