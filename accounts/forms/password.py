"""One's password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm

from accounts import signin
from accounts.models import AuthenticatedHttpRequest, User

if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    SetUsersPasswordForm = SetPasswordForm[User]
else:
    SetUsersPasswordForm = SetPasswordForm

DIFFER = "The two new passwords differ."
LONG_ENOUGH = "At least 12 characters. A few unrelated words are easier to keep."


def _in_our_words(form: forms.BaseForm) -> None:
    form.fields["new_password1"].label, form.fields["new_password1"].help_text = "New password", LONG_ENOUGH
    form.fields["new_password2"].label, form.fields["new_password2"].help_text = "New password again", ""


class PasswordForm(PasswordChangeForm):
    """The current password is asked for through the same brakes as at signing in."""

    error_messages = {"password_incorrect": "This is not your current password.", "password_mismatch": DIFFER}

    def __init__(self, request: AuthenticatedHttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(User.objects.get(pk=request.user.pk), *args, **kwargs)
        self.request = request
        self.fields["old_password"].label = "Current password"
        _in_our_words(self)

    def clean_old_password(self) -> str:
        typed: str = self.cleaned_data["old_password"]
        if not signin.is_own_password(self.request, typed):
            refusal = signin.too_many(self.request)
            signin.record_proof(self.request.user, done=False, **({"reason": "too many attempts"} if refusal else {}))
            raise forms.ValidationError(refusal.message if refusal else self.error_messages["password_incorrect"])
        return typed


class ForgottenForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address", max_length=254, widget=forms.EmailInput({"autocomplete": "username", "autofocus": True})
    )


class NewPasswordForm(SetUsersPasswordForm):
    error_messages = {"password_mismatch": DIFFER}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _in_our_words(self)
