"""What the wizard Add Roles asks: a project, a workspace of it, a role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet

from accounts.models import Tenant, User
from accounts.permissions import Verb, visible
from accounts.roles import Role, Scope, role_named, roles_on
from workspaces.forms.cluster import Cards
from workspaces.models import Project, Workspace

GONE = "The {} you chose does not exist any more. Choose another."


if TYPE_CHECKING:  # Django's own classes take no parameters when they run
    RowChoice = forms.ModelChoiceField[Any]
else:
    RowChoice = forms.ModelChoiceField


class _Choice(RowChoice):
    """One of these rows, by a select: there may be hundreds. What is not among them is refused here."""

    def __init__(self, rows: QuerySet[Any], noun: str, help_text: str) -> None:
        wrong = {"required": f"Choose a {noun}.", "invalid_choice": GONE.format(noun)}
        empty = f"Choose a {noun}"
        super().__init__(rows, empty_label=empty, error_messages=wrong, help_text=help_text)


class ProjectForm(forms.Form):
    """One of the projects of a tenant that `user` administers."""

    def __init__(self, data: Any, *, user: User, tenant: Tenant) -> None:
        super().__init__(data)
        rows = visible(user, Project.objects.filter(tenant=tenant), Verb.ROLE_CREATE)
        self.fields["project"] = _Choice(rows, "project", "")


class WorkspaceForm(forms.Form):
    """One of the workspaces of a project that `user` administers."""

    def __init__(self, data: Any, *, user: User, project: Project) -> None:
        super().__init__(data)
        rows = visible(user, Workspace.objects.filter(project=project), Verb.ROLE_CREATE)
        self.fields["workspace"] = _Choice(rows, "workspace", f"Workspaces of {project}.")
        self.is_empty = not rows.exists()


class RoleForm(forms.Form):
    """One of the roles that can be given on this."""

    role = forms.ChoiceField(
        error_messages={"required": "Choose a role.", "invalid_choice": "Choose one of the roles."}
    )

    def __init__(self, data: Any, *, scope: Scope) -> None:
        super().__init__(data)
        field, roles = self.fields["role"], roles_on(scope)
        assert isinstance(field, forms.ChoiceField)
        field.widget = Cards({role.codename: role.description for role in roles})
        field.choices = [(role.codename, role.display_name) for role in roles]

    def chosen(self) -> type[Role]:
        return role_named(self.cleaned_data["role"])
