"""Namespaces in a form: those that are known, and others."""

from __future__ import annotations

import re

from django import forms

BETWEEN_NAMES = re.compile(r"[\s,;]+")


class NamespacesMixin(forms.Form):
    """Namespaces ticked from a list, and others typed."""

    known = forms.MultipleChoiceField(
        required=False,
        label="Namespaces",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "%(value)s is not in the list any more. Type it under Other namespaces."},
    )
    others = forms.CharField(
        required=False,
        label="Other namespaces",
        help_text="For namespaces that are not in the list. Separate names with commas or spaces.",
    )

    def offer(self, namespaces: list[str]) -> None:
        """What can be ticked."""
        self.fields["known"].choices = [(name, name) for name in namespaces]  # type: ignore[attr-defined]

    def namespaces(self) -> list[str]:
        """Ticked and typed together, each once, in order."""
        typed = [name for name in BETWEEN_NAMES.split(self.cleaned_data.get("others", "")) if name]
        return list(dict.fromkeys([*self.cleaned_data.get("known", []), *typed]))
