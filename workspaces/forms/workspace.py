"""What is typed about workspaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.forms.namespaces import NamespacesMixin
from workspaces.models import Cluster, Project, Workspace
from workspaces.models.project import is_dns_label

NAMED = 3  # so many clusters are named beside a namespace; more are counted

if TYPE_CHECKING:  # Django's own class takes no parameters when it runs
    ClustersField = forms.ModelMultipleChoiceField[Cluster]
else:
    ClustersField = forms.ModelMultipleChoiceField


class ClustersChoice(ClustersField):
    """Some of these clusters. What is not among them is refused in the same words, whatever it is."""

    def clean(self, value: Any) -> QuerySet[Cluster]:
        try:
            return super().clean(value)
        except forms.ValidationError as error:
            if getattr(error, "code", "") != "invalid":  # what UUIDField says of a text that is no id
                raise
            raise forms.ValidationError(self.error_messages["invalid_choice"], "invalid_choice") from error


class DetailsForm(forms.Form):
    """What people call a workspace."""

    name = forms.CharField(
        max_length=63,
        validators=[is_dns_label],
        error_messages={"required": "Give the workspace a name."},
        help_text="Lower-case letters, digits, hyphens; at most 63.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea({"rows": 3}))

    def __init__(self, *args: Any, project: Project, workspace: Workspace | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.twins = project.workspaces.exclude(pk=workspace.pk) if workspace else project.workspaces.all()

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if self.twins.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "There is a workspace of this name in the project already. Choose another.", "taken"
            )
        return name

    def asked(self) -> dict[str, Any]:
        """Keywords for the actions."""
        return {name: self.cleaned_data[name] for name in ("name", "description")}


class WorkspaceForm(DetailsForm, NamespacesMixin):
    """All of a workspace: for those who also say how far its roles reach."""

    clusters = ClustersChoice(
        Cluster.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": "Choose at least one cluster.",
            "invalid_choice": "A cluster you chose is not in this project or was deregistered meanwhile. Choose again.",
        },
    )

    field_order = ("name", "description", "clusters", "known", "others")

    def __init__(self, *args: Any, clusters: QuerySet[Cluster], **kwargs: Any) -> None:
        """`clusters`: those to choose among."""
        super().__init__(*args, **kwargs)
        self.fields["clusters"].queryset = clusters  # type: ignore[attr-defined]
        self.where = _places(clusters)
        self.offer(sorted(self.where))
        self.fields["known"].choices = [  # type: ignore[attr-defined]
            (name, _beside(name, there, len(clusters))) for name, there in sorted(self.where.items())
        ]
        self.fields["others"].help_text += " They may be made later."

    @staticmethod
    def initial_of(workspace: Workspace, clusters: QuerySet[Cluster]) -> dict[str, Any]:
        """The workspace as it is, in this form's fields."""
        known = _places(clusters)
        return {
            "clusters": list(workspace.clusters.values_list("pk", flat=True)),
            "known": [name for name in workspace.namespaces if name in known],
            "others": ", ".join(name for name in workspace.namespaces if name not in known),
        }

    def asked(self) -> dict[str, Any]:
        return super().asked() | {"clusters": list(self.cleaned_data["clusters"]), "namespaces": self.namespaces()}

    def refuse(self, error: BadInput) -> None:
        """Say what the action refused at the field it was typed in."""
        if error.field == "namespaces":
            error.field = "others"
        add_error(self, error)


class DeleteWorkspaceForm(forms.Form):
    typed_name = forms.CharField(error_messages={"required": "Type the name of the workspace to delete it."})


def _places(clusters: Sequence[Cluster] | QuerySet[Cluster]) -> dict[str, list[str]]:
    """The clusters in which there is a namespace of that name, but for Velero's own."""
    found: dict[str, list[str]] = defaultdict(list)
    veleros = {cluster.velero_namespace for cluster in clusters}
    for cluster in clusters:
        for name in cluster.facts.get("namespaces", []):
            if name not in veleros:
                found[name].append(cluster.name)
    return dict(found)


def _beside(name: str, there: Sequence[str], total: int) -> SafeString:
    """`shop` and, fainter, where it is."""
    where = "all clusters" if len(there) == total > 1 else ", ".join(there)
    where = where if len(there) <= NAMED or len(there) == total else f"{len(there)} of {total} clusters"
    return format_html('<span>{} <span class="faint" title="{}">{}</span></span>', name, ", ".join(there), where)
