"""What one looks for in the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import Q

from accounts.models.audit import AuditQuerySet

OUTCOMES = (("", "Every outcome"), ("done", "Done"), ("failed", "Failed"), ("denied", "Denied"))
A_MINUTE = timedelta(minutes=1)
PICKER = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
TYPED = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
NO_TIME = {"invalid": "Give a date and a time, such as 2026-11-23 08:30."}


def _searched(label: str) -> forms.CharField:
    widget = forms.TextInput({"type": "search", "placeholder": label, "aria-label": label})
    return forms.CharField(required=False, max_length=254, widget=widget)


class AuditFilterForm(forms.Form):
    """Times are the viewer's: the middleware has set their zone."""

    person = _searched("Person")
    verb = _searched("Action, such as cluster.update")
    object = _searched("Object, by name or id")
    outcome = forms.ChoiceField(required=False, choices=OUTCOMES, widget=forms.Select({"aria-label": "Outcome"}))
    since = forms.DateTimeField(
        label="From", required=False, widget=PICKER, input_formats=TYPED, error_messages=NO_TIME
    )
    until = forms.DateTimeField(label="To", required=False, widget=PICKER, input_formats=TYPED, error_messages=NO_TIME)

    def clean(self) -> dict[str, Any]:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", "This is before the beginning.")
        return self.cleaned_data

    @property
    def asked(self) -> dict[str, str]:
        """What was looked for, in the query's own words; empty when nothing was."""
        self.is_valid()
        return {name: self.data[name] for name in self.fields if self.cleaned_data.get(name)}

    def narrow(self, rows: AuditQuerySet) -> AuditQuerySet:
        """The rows that match; none when what was asked cannot be understood."""
        if not self.is_valid():
            return rows.none()
        wanted = self.cleaned_data
        if wanted["person"]:
            rows = rows.filter(actor__icontains=wanted["person"])
        if wanted["verb"]:
            rows = rows.filter(verb__istartswith=wanted["verb"])
        if wanted["object"]:
            rows = rows.filter(Q(target__icontains=wanted["object"]) | Q(target_id=wanted["object"]))
        if wanted["outcome"]:
            rows = rows.filter(outcome=wanted["outcome"])
        if wanted["since"]:
            rows = rows.filter(at__gte=wanted["since"])
        return rows.filter(at__lt=wanted["until"] + A_MINUTE) if wanted["until"] else rows
