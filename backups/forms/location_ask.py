"""Whose Velero is asked about a location that the console cannot try itself."""

from __future__ import annotations

from typing import Any

from django import forms

from workspaces.models import Cluster, Project


class AskForm(forms.Form):
    """The project's clusters."""

    cluster = forms.ModelChoiceField(Cluster.objects.none(), label="Cluster", empty_label=None)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["cluster"].queryset = Cluster.objects.registered().filter(project=project)  # type: ignore[attr-defined]
