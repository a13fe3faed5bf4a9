"""What a Tenant Admin may set for the whole tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import FieldDoesNotExist

from accounts.models import Tenant

if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    TenantModelForm = forms.ModelForm[Tenant]
else:
    TenantModelForm = forms.ModelForm


def _is_column(name: str) -> bool:
    try:
        Tenant._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


class TenantForm(TenantModelForm):
    """Name, how long a session lasts, who may save a location that was not validated."""

    class Meta:
        model = Tenant
        fields = list(filter(_is_column, ("name", "session_idle_minutes", "session_hours", "unvalidated_location_by")))
        help_texts = {"name": "Shown above the tenant's pages and in the project switcher."}
        error_messages = {"name": {"required": "Give the tenant a name.", "unique": "Choose another name."}}
        widgets = {"name": forms.TextInput({"autocomplete": "off"})}

    def clean_name(self) -> Any:
        return self.cleaned_data["name"].strip()
