"""What people type about clusters, made ready for the actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.actions.kubeconfig import contexts_in, refuse_unusable
from workspaces.models import Cluster, Project
from workspaces.models.cluster import CloudType

MOST_TAGS = 20
LONGEST_TAG = 40
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

ABOUT_CLOUDS = {
    CloudType.EKS: "Managed by AWS",
    CloudType.AKS: "Managed by Microsoft Azure",
    CloudType.GKE: "Managed by Google Cloud",
    CloudType.OPENSHIFT: "Red Hat's distribution, anywhere",
    CloudType.VSPHERE: "Virtual machines on VMware vSphere",
    CloudType.BARE_METAL: "Machines of your own",
    CloudType.OTHER: "Any conformant cluster",
}


class Cards(forms.RadioSelect):
    """Radio buttons shown as cards, each with a line about it."""

    def __init__(self, descriptions: Mapping[Any, str]) -> None:
        super().__init__()
        self.descriptions = dict(descriptions)


class TagsField(forms.CharField):
    """Words separated by commas, as a list without repetitions."""

    def to_python(self, value: Any) -> Any:
        words = value if isinstance(value, list) else (super().to_python(value) or "").split(",")
        return list(dict.fromkeys(filter(None, (str(word).strip() for word in words))))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def validate(self, value: list[str]) -> None:
        if len(value) > MOST_TAGS:
            raise forms.ValidationError(f"Give {MOST_TAGS} tags at most.")
        if any(len(tag) > LONGEST_TAG for tag in value):
            raise forms.ValidationError(f"A tag has {LONGEST_TAG} characters at most.")

    def run_validators(self, value: list[str]) -> None:
        """The validators of a text do not apply to a list."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial or "") != self.to_python(data or ""))


class BasicsForm(forms.Form):
    """Basic information of a cluster: when it is registered, and under General later on."""

    name = forms.CharField(
        max_length=63,
        error_messages={"required": "Give the cluster a name."},
        help_text="How people tell it from the others of this project.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea({"rows": 3}))
    tags = TagsField(
        required=False,
        help_text="Separated by commas, such as production, eu-west.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    cloud_type = forms.ChoiceField(
        label="Cloud type",
        choices=CloudType.choices,
        error_messages={"required": "Choose where the cluster runs."},
        widget=Cards(ABOUT_CLOUDS),
    )
    cloud_account = forms.CharField(
        label="Cloud account",
        required=False,
        max_length=100,
        help_text="A label for the account the cluster runs in. Restores between accounts are pointed out by it.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, project: Project, cluster: Cluster | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project, self.cluster = project, cluster

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        twins = Cluster.objects.registered().filter(project=self.project, name=name)
        if self.cluster:
            twins = twins.exclude(pk=self.cluster.pk)
        if twins.exists():
            raise forms.ValidationError("A cluster of this name is registered in the project already. Choose another.")
        return name


class SecretText(forms.Textarea):
    """Text that goes to the server and is never sent back."""

    def format_value(self, value: Any) -> str:
        return ""


class FileText(forms.FileInput):
    """A file whose text has gone to another field; what arrives under its own name is what is wrong with it."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get(name)


class ConnectionForm(forms.Form):
    """How to reach a cluster. What the console would not connect with is refused here, before anything is sent."""

    secret_fields = ("kubeconfig",)
    file_fields = {"kubeconfig_file": "kubeconfig"}  # a file stands for the text of the other field

    kubeconfig = forms.CharField(
        strip=False,
        error_messages={"required": "Paste a kubeconfig or choose its file."},
        help_text="Paste it here, or choose its file below. It is stored encrypted and never shown again.",
        widget=SecretText(
            {
                "rows": 9,
                "class": "mono",
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "apiVersion: v1\nkind: Config",
            }
        ),
    )
    kubeconfig_file = forms.CharField(label="Kubeconfig file", required=False, widget=FileText())
    context = forms.CharField(
        required=False,
        max_length=253,
        help_text="Only when the kubeconfig holds several. Empty means its current context.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    velero_namespace = forms.CharField(
        label="Velero namespace",
        initial="velero",
        max_length=63,
        help_text="Where Velero is, or will be, in this cluster.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        text = data.get("kubeconfig", "") if data is not None else ""
        self.kept = bool(str(text).strip())
        if len(names := contexts_in(str(text))) > 1:
            choices = [("", "The kubeconfig's current context"), *((name, name) for name in names)]
            self.fields["context"].widget = forms.Select(choices=choices)

    def clean_kubeconfig_file(self) -> str:
        """Raises ValidationError with what is wrong with the file (see `with_files` in views/wizard.py)."""
        if trouble := self.cleaned_data["kubeconfig_file"]:
            raise forms.ValidationError(trouble)
        return ""

    def clean_velero_namespace(self) -> str:
        name = str(self.cleaned_data["velero_namespace"])
        if not DNS_LABEL.fullmatch(name):
            raise forms.ValidationError("Use lower-case letters, digits and hyphens, as Kubernetes does.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        text = str(cleaned.get("kubeconfig", ""))
        if "kubeconfig_file" in self.errors:
            self.errors.pop("kubeconfig", None)  # one thing is wrong, and said there
        if not text.strip():
            return cleaned
        try:
            refuse_unusable(text, str(cleaned.get("context", "")))
        except BadInput as error:
            add_error(self, error)
        return cleaned


class DeregisterForm(forms.Form):
    typed_name = forms.CharField(
        label="Name of the cluster", error_messages={"required": "Type the name of the cluster to deregister it."}
    )

    def __init__(self, cluster: Cluster, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["typed_name"]
        field.help_text = f"Type {cluster.name} to confirm."
        field.widget.attrs |= {"data-confirm-name": cluster.name, "autocomplete": "off", "spellcheck": "false"}
