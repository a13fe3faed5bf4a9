"""What a superuser may type in Django admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib.auth import password_validation

from accounts.actions.site import refuse_indispensable
from accounts.models import User
from console.lib.errors import BadInput

if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    UserModelForm = forms.ModelForm[User]
else:
    UserModelForm = forms.ModelForm


class NewPersonForm(UserModelForm):
    password = forms.CharField(strip=False, widget=forms.PasswordInput({"autocomplete": "new-password"}))

    class Meta:
        model = User
        fields = ["email", "name"]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        return email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password, self.instance)
        return password


class PersonForm(UserModelForm):
    by: User  # who is signed in, set on the form's class for the request

    class Meta:
        model = User
        fields = ["name", "time_zone", "is_active"]

    def clean_is_active(self) -> bool:
        active: bool = self.cleaned_data["is_active"]
        try:
            if not active:
                refuse_indispensable(self.by, self.instance)
        except BadInput as error:
            raise forms.ValidationError(error.message) from error
        return active
