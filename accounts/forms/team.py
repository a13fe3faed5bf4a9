"""What is typed about teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from accounts.members import candidates
from accounts.models import Team, User


class TeamForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        error_messages={"required": "Give the team a name."},
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    description = forms.CharField(
        max_length=300, required=False, help_text="What its members do, in a line.", widget=forms.TextInput()
    )


class DeleteTeamForm(forms.Form):
    """The name of the team, typed."""

    typed_name = forms.CharField(error_messages={"required": "Type the name of the team to delete it."})

    def __init__(self, team: Team, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.team = team

    def clean_typed_name(self) -> str:
        typed = str(self.cleaned_data["typed_name"])
        if typed != self.team.name:
            raise forms.ValidationError(f"This is not the name of the team. Type {self.team.name}.")
        return typed


if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    UserChoice = forms.ModelChoiceField[User]
else:
    UserChoice = forms.ModelChoiceField


class PersonChoice(UserChoice):
    def label_from_instance(self, obj: User) -> str:
        return f"{obj.name} ({obj.email})" if obj.name else str(obj.email)


class AddMemberForm(forms.Form):
    """Somebody of the tenant who is not in the team yet."""

    user = PersonChoice(
        User.objects.none(),
        label="Add a member",
        empty_label="Choose a user",
        error_messages={"required": "Choose a user.", "invalid_choice": "Choose one of the users of this tenant."},
    )

    def __init__(self, team: Team, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["user"]
        assert isinstance(field, PersonChoice)
        field.queryset = candidates(team)
