"""Create a backup: what a person types, parsed into what `request_backup` takes."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone

from backups import lifecycle
from backups.models import Backup, BackupLocation, ClusterResources, LocationState
from workspaces.forms.cluster import Cards
from workspaces.forms.namespaces import NamespacesMixin
from workspaces.models import Cluster

if TYPE_CHECKING:  # Django's own class takes no parameters when it runs
    LocationField = forms.ModelChoiceField[BackupLocation]
else:
    LocationField = forms.ModelChoiceField

PLAIN_TEXT = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
OTHER_DATE = "date"
KEEP = [
    ("7", "1 week"),
    ("14", "2 weeks"),
    ("30", "1 month"),
    ("90", "3 months"),
    ("180", "6 months"),
    ("365", "1 year"),
    (OTHER_DATE, "Until a date"),
]
ABOUT_CLUSTER_RESOURCES = {
    ClusterResources.AUTO: "Those that the chosen namespaces use, such as volumes; all of them for all namespaces.",
    ClusterResources.ALWAYS: "All of them: resource definitions, cluster roles, storage classes.",
    ClusterResources.NEVER: "Only what lives in namespaces.",
}


class LocationChoice(LocationField):
    """A location of the project; one that is unavailable says so."""

    def label_from_instance(self, obj: Any) -> str:
        away = " — unavailable" if obj.state == LocationState.UNAVAILABLE else ""
        return f"{obj.name} ({obj.bucket}){away}"


def _free_name(cluster: Cluster) -> str:
    """`harbor-east-20261122`, with a number behind it when there is one of that name already."""
    plain = f"{cluster.name[:24].strip('-')}-{timezone.localdate():%Y%m%d}"
    taken = set(Backup.objects.filter(cluster=cluster, name__startswith=plain).values_list("name", flat=True))
    return next(name for number in count(1) if (name := f"{plain}-{number}" if number > 1 else plain) not in taken)


class HoldsForm(NamespacesMixin):
    """What a backup holds and where it goes: of one backup, and of a policy's."""

    location = LocationChoice(
        BackupLocation.objects.none(), label="Backup location", empty_label=None, help_text="Where it is kept."
    )
    include_disks = forms.BooleanField(
        required=False,
        initial=True,
        label="Include all disks",
        help_text="Volumes are saved as snapshots where the cluster has a snapshot class for their driver.",
    )
    cluster_resources = forms.ChoiceField(
        label="Include cluster resources",
        choices=ClusterResources.choices,
        initial=ClusterResources.AUTO,
        widget=Cards(ABOUT_CLUSTER_RESOURCES),
    )
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, cluster: Cluster, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usable = BackupLocation.objects.filter(project=cluster.project_id, read_only=False)
        self.fields["location"].queryset = usable  # type: ignore[attr-defined]
        shown = [name for name in cluster.facts.get("namespaces", []) if name != cluster.velero_namespace]
        self.offer(shown)

    def looked_up(self) -> dict[str, Any]:
        """Keywords for `request_preview`, of a form that need not be complete."""
        include_disks = bool(self.cleaned_data.get("include_disks"))
        resources = self.cleaned_data.get("cluster_resources") or ClusterResources.AUTO
        return {"namespaces": self.namespaces(), "include_disks": include_disks, "cluster_resources": resources}


class BackupForm(HoldsForm):
    name = forms.CharField(
        label="Backup name",
        max_length=lifecycle.LONGEST_NAME,
        help_text=f"Lower-case letters, digits, hyphens; at most {lifecycle.LONGEST_NAME}.",
        widget=forms.TextInput(PLAIN_TEXT),
    )
    keep = forms.ChoiceField(
        label="Expiry date", choices=KEEP, initial="30", help_text="The backup is removed automatically then."
    )
    until = forms.DateField(
        required=False,
        label="Keep until",
        help_text="Only for “Until a date”.",
        widget=forms.DateInput({"type": "date"}),
    )

    field_order = ("name", "location", "keep", "until", "known", "others", "include_disks", "cluster_resources")

    def __init__(self, cluster: Cluster, *args: Any, **kwargs: Any) -> None:
        super().__init__(cluster, *args, **kwargs)
        self.fields["name"].initial = _free_name(cluster)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("keep") == OTHER_DATE:
            self._clean_until(cleaned.get("until"))
        return cleaned

    def _clean_until(self, until: date | None) -> None:
        if until is None:
            self.add_error("until", "Choose the date.")
        elif until <= timezone.localdate():
            self.add_error("until", "Choose a date after today.")

    def asked(self) -> dict[str, Any]:
        """Keywords for `request_backup`."""
        taken = ("name", "location", "include_disks", "cluster_resources", "submission")
        values = {name: self.cleaned_data[name] for name in taken}
        return values | {"keep_for": self._keep_for(), "namespaces": self.namespaces()}

    def _keep_for(self) -> timedelta:
        if self.cleaned_data["keep"] != OTHER_DATE:
            return timedelta(days=int(self.cleaned_data["keep"]))
        end = timezone.make_aware(datetime.combine(self.cleaned_data["until"], time.max))
        return timedelta(seconds=round((end - timezone.now()).total_seconds()))
