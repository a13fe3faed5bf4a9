"""What a person may change about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm

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


class PasswordForm(PasswordChangeForm):
    error_messages = {
        "password_incorrect": "This is not your current password.",
        "password_mismatch": "The two new passwords differ.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = "Current password"
        self.fields["new_password1"].label = "New password"
        self.fields["new_password1"].help_text = "At least 12 characters. A few unrelated words are easier to keep."
        self.fields["new_password2"].label = "New password again"
        self.fields["new_password2"].help_text = ""
