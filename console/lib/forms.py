"""Saying what an action refused at the field it belongs to."""

from __future__ import annotations

from django import forms

from console.lib.errors import BadInput


def add_error(form: forms.BaseForm, error: BadInput) -> None:
    """Put the action's sentence beside its field; above the form when the form has no such field."""
    form.add_error(error.field if error.field in form.fields else None, error.sentence())
