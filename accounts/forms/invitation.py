"""What is typed by whoever invites, and by whoever is invited."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import Invitation, User


class InviteForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        error_messages={"required": "Give the e-mail address of the person to invite."},
        help_text="The person signs in with it. Nobody else can use the link for another address.",
        widget=forms.EmailInput({"autocomplete": "off", "autofocus": True}),
    )

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class NewUserForm(forms.Form):
    """Name and password of somebody who is new here."""

    name = forms.CharField(
        max_length=100,
        error_messages={"required": "Give your name."},
        help_text="Shown to others instead of your e-mail address.",
        widget=forms.TextInput({"autocomplete": "name"}),
    )
    password = forms.CharField(
        strip=False,
        error_messages={"required": "Choose a password."},
        help_text="At least 12 characters. A few unrelated words are easier to keep.",
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="Password again",
        strip=False,
        error_messages={"required": "Type the password again."},
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def __init__(self, invitation: Invitation, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        password = cleaned.get("password")
        if password and "again" in cleaned and cleaned["again"] != password:
            self.add_error("again", "The two passwords differ.")
        try:
            if password:
                validate_password(password, User(email=self.invitation.email, name=cleaned.get("name", "")))
        except ValidationError as error:
            self.add_error("password", error)
        return cleaned
