"""`/styleguide`, only with DEBUG: every component in every state, with invented content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from console.lib import provisioning
from console.templatetags import ui

NAMESPACES = ("default", "shop", "shop-staging", "intranet", "payments", "monitoring")
STEPS = [
    {"id": "reach", "title": "Reach the endpoint", "outcome": "passed", "cause": "", "remedy": ""},
    {"id": "tls", "title": "TLS", "outcome": "warned", "cause": "The certificate ends in 6 days.", "remedy": ""},
    {
        "id": "sign-in",
        "title": "Sign in",
        "outcome": "failed",
        "cause": "The store does not know this access key.",
        "remedy": "Copy the access key again; it has 20 characters.",
    },
    {"id": "bucket", "title": "Bucket exists", "outcome": "running", "cause": "", "remedy": ""},
    {"id": "write", "title": "Write, read back, delete", "outcome": "skipped", "cause": "", "remedy": ""},
    {"id": "done", "title": "Nothing else", "outcome": "", "cause": "", "remedy": ""},
]


class ExampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(
        label="Backup name", help_text="Lower-case letters, digits and hyphens.", initial="before-upgrade"
    )
    location = forms.ChoiceField(
        label="Backup location", choices=[("", "Choose a location"), ("a", "Frankfurt archive")]
    )
    description = forms.CharField(required=False, widget=forms.Textarea({"rows": 3}))
    secret = forms.CharField(label="Secret key", widget=forms.PasswordInput)
    kind = forms.ChoiceField(
        label="Provider",
        widget=forms.RadioSelect,
        initial="aws",
        choices=[("aws", "AWS S3"), ("s3", "S3-compatible"), ("gcp", "Google Cloud")],
    )
    namespaces = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Tick none to back up all, including ones made later.",
        choices=[(name, name) for name in NAMESPACES],
    )
    disks = forms.BooleanField(
        label="Include all disks", required=False, initial=True, help_text="The data in volumes, too."
    )

    def __init__(self, data: dict[str, str] | None = None) -> None:
        super().__init__(data, prefix="bad" if data is not None else None)
        self.fields["kind"].widget.descriptions = {  # read by {% field %}
            "aws": "A bucket in your AWS account.",
            "s3": "MinIO, Ceph and others that speak S3.",
            "gcp": "A bucket in Cloud Storage.",
        }


@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """What the last click did is shown in all its tones."""
    messages.success(request, "The backup is requested.")
    messages.info(request, "Another person changed this a minute ago.")
    messages.warning(request, "Saved, but the location was not validated.")
    messages.error(request, "The cluster refused this. Its administrator can say why.")
    return render(request, "console/styleguide.html", _shown())


def _shown() -> dict[str, object]:
    now = timezone.now()
    return {
        "states": [*ui.STATES, "SomePhaseOfTomorrow"],
        "steps": STEPS,
        "form": ExampleForm(),
        "refused": ExampleForm({"bad-name": "Before Upgrade"}),
        "page": Paginator(range(200), 25).page(2),
        "moments": [now - timedelta(seconds=4), now - timedelta(minutes=5), now + timedelta(days=30), None],
        "fixed": datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        "amounts": [0, 1536, 73_400_320, 1_503_238_553_600, None],
        "spans": [timedelta(seconds=8), timedelta(seconds=80), timedelta(hours=3, minutes=5), timedelta(days=2)],
        "sandbox": provisioning.Provisioning(
            stage="building",
            message="Compiling Velero and a Kubernetes API server, once per machine.",
            what="k8s.io/apiserver",
            done=1204,
            total=3492,
            log="",
        ),
        "icons": ui.icon_names(),
        "text": "kind: Backup\nmetadata:\n  name: before-upgrade-x7f2k9qa\n",
    }
