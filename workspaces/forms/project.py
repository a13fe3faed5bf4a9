"""What is typed about projects."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import Tenant
from workspaces.models import Project


class ProjectNameForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        error_messages={"required": "Give the project a name."},
        help_text="How people tell it from the others of this tenant.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, tenant: Tenant, project: Project | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        twins = Project.objects.filter(tenant=tenant)
        self.twins = twins.exclude(pk=project.pk) if project else twins

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if self.twins.filter(name__iexact=name).exists():
            raise forms.ValidationError("There is a project of this name already. Choose another.")
        return name
