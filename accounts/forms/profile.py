"""What a person may change about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms

from accounts.models import User

if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    UserModelForm = forms.ModelForm[User]
else:
    UserModelForm = forms.ModelForm


class ProfileForm(UserModelForm):
    class Meta:
        model = User
        fields = ["name", "time_zone"]
        labels = {"time_zone": "Time zone"}
        help_texts = {
            "name": "Shown to others instead of your e-mail address.",
            "time_zone": "Times are shown in this zone, with UTC on hover. Type a city to search.",
        }
        widgets = {
            "name": forms.TextInput({"autocomplete": "name"}),
            "time_zone": forms.TextInput({"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
        }
