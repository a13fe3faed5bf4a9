"""Deleting a backup location: its name, typed."""

from __future__ import annotations

from django import forms


class LocationDeleteForm(forms.Form):
    typed_name = forms.CharField(required=False, max_length=63)
