"""What the form of a backup location is made of, beyond Django's own."""

from __future__ import annotations

from typing import Any

from django import forms

from backups.models import SignIn

AWS, S3, GCP = "aws", "s3", "gcp"
PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}


class ProviderCards(forms.RadioSelect):
    descriptions = {
        AWS: "Amazon's own object storage.",
        S3: "MinIO, Ceph, SeaweedFS or another store that speaks S3, at an address of your own.",
        GCP: "Google Cloud Storage, with the key of a service account.",
    }


class SignInCards(forms.RadioSelect):
    descriptions = {
        SignIn.KEYS.value: "Those of a user who may use the bucket.",
        SignIn.STS_CLUSTER.value: "Each cluster assumes a role with the instance profile that it was launched with. "
        "No key is kept; the console itself cannot look into the bucket.",
        SignIn.STS_KEYS.value: "A role is assumed with the keys of a user of a cloud account, kept here.",
    }


class SignInField(forms.ChoiceField):
    """Belongs to one card of several, so it may be missing."""

    def validate(self, value: Any) -> None:
        if value:
            super().validate(value)


class WriteOnlyInput(forms.TextInput):
    """Takes a value and never shows one."""

    def format_value(self, value: Any) -> None:
        return None


class WriteOnlyArea(forms.Textarea):
    """As `WriteOnlyInput`, for many lines."""

    def format_value(self, value: Any) -> None:
        return None


class WriteOnlyPassword(forms.PasswordInput):
    """PasswordInput shows no value unless it is told to; nobody can tell this one."""

    def format_value(self, value: Any) -> None:
        return None


class RegionField(forms.CharField):
    """Shown as required. Whether it is depends on the provider and on the configuration line, so `clean()` decides."""

    def validate(self, value: Any) -> None:
        return None


class CertificateArea(forms.Textarea):
    """Certificates are public and shown again. A key that was pasted among them is not."""

    def format_value(self, value: Any) -> str | None:
        return "" if "PRIVATE KEY" in (value or "") else value
