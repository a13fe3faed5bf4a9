"""Restore: the wizard's steps, parsed into what `request_restore` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from backups.models import Backup, ClusterResources, ExistingObjects
from workspaces.forms.cluster import Cards
from workspaces.forms.namespaces import NamespacesMixin
from workspaces.models import Cluster
from workspaces.models.cluster import ClusterState

if TYPE_CHECKING:  # Django's own class takes no parameters when it runs
    TargetField = forms.ModelChoiceField[Cluster]
else:
    TargetField = forms.ModelChoiceField

ABOUT_CLUSTER_RESOURCES = {
    ClusterResources.AUTO: "Those that belong to what is restored; all of them when all namespaces are.",
    ClusterResources.ALWAYS: "All that the backup holds; those that exist already are left or updated as chosen below.",
    ClusterResources.NEVER: "Only what lives in namespaces.",
}
ABOUT_EXISTING = {
    ExistingObjects.LEAVE: "An object that exists already is skipped, with a warning where it differs.",
    ExistingObjects.UPDATE: "An object that exists already is changed to what the backup holds. Volume data is not.",
}


class TargetChoice(TargetField):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name)


class TargetForm(forms.Form):
    """Which cluster it is restored into: the same, or another of the same project; nothing else is offered."""

    target = TargetChoice(Cluster.objects.none(), label="Target cluster", empty_label=None, widget=Cards({}))

    def __init__(self, *args: Any, backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        clusters = Cluster.objects.registered().filter(project=backup.project_id)
        field: Any = self.fields["target"]
        field.queryset = clusters
        field.widget.descriptions = {str(each.pk): _about(each, each.pk == backup.cluster_id) for each in clusters}


def _about(cluster: Cluster, is_source: bool) -> str:
    words = [ClusterState(cluster.state).label, cluster.get_cloud_type_display()]
    return " · ".join([*words, "where the backup was taken"] if is_source else words)


class OptionsForm(NamespacesMixin):
    cluster_resources = forms.ChoiceField(
        label="Include cluster resources",
        choices=ClusterResources.choices,
        initial=ClusterResources.AUTO,
        widget=Cards(ABOUT_CLUSTER_RESOURCES),
    )
    restore_volumes = forms.BooleanField(
        required=False,
        initial=True,
        label="Restore PVs",
        help_text="Volumes are made anew from their snapshots. Without a snapshot a claim is restored empty.",
    )
    preserve_node_ports = forms.BooleanField(
        required=False,
        label="Preserve node ports",
        help_text="Services keep their node ports; one whose port is taken in the target fails.",
    )
    existing_objects = forms.ChoiceField(
        label="Objects that exist already",
        choices=ExistingObjects.choices,
        initial=ExistingObjects.LEAVE,
        widget=Cards(ABOUT_EXISTING),
    )
    field_order = ("known", "others", "cluster_resources", "restore_volumes", "preserve_node_ports", "existing_objects")

    def __init__(self, *args: Any, backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer(backup.namespaces or _namespaces_in(backup))

    def asked(self) -> dict[str, Any]:
        """Keywords for `request_restore`."""
        taken = ("cluster_resources", "restore_volumes", "preserve_node_ports", "existing_objects")
        return {name: self.cleaned_data[name] for name in taken} | {"namespaces": self.namespaces()}


def _namespaces_in(backup: Backup) -> list[str]:
    """Of a backup of all namespaces: those the cluster had when it was last looked at."""
    known = backup.cluster.facts.get("namespaces", [])
    return [name for name in known if name != backup.cluster.velero_namespace]
