"""Add a New Backup location: what a person types, parsed. Keys are write-only: no widget here renders one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.safestring import SafeString

from backups import configuration
from backups.actions.location import NEEDED
from backups.actions.location_draft import sign_in_of
from backups.forms.location_widgets import (
    AWS,
    GCP,
    PLAIN,
    S3,
    CertificateArea,
    ProviderCards,
    RegionField,
    SignInCards,
    SignInField,
    WriteOnlyArea,
    WriteOnlyInput,
    WriteOnlyPassword,
)
from backups.models import BackupLocation, SignIn
from console.lib.certificates import LARGEST_BUNDLE, read_bundle
from console.lib.errors import BadInput
from console.lib.forms import add_error

WITHOUT_REGIONS = "us-east-1"  # what stores that know no regions answer to
SECRETS = ("access_key", "secret_key", "service_account")
LARGEST_KEY_FILE = 32 * 1024
UPLOADS = {"certificate_file": "certificate", "service_account_file": "service_account"}
BUCKET = SafeString('<span data-for="aws s3">S3 Bucket</span> <span data-for="gcp">Bucket</span>')
SIGN_INS = [
    (SignIn.KEYS.value, "Credentials"),
    (SignIn.STS_CLUSTER.value, "STS, by the cluster's own AWS identity"),
    (SignIn.STS_KEYS.value, "STS, with keys of a cloud account"),
]
CONFIGURATION = ("region", "path_style", "s3_url")


class LocationForm(forms.Form):
    """`kept` is what was typed before: a key left blank means that one, and the configuration it was shown with.

    `default_prefix` stands in the prefix until another one is typed.
    """

    read_only = forms.BooleanField(required=False, widget=forms.HiddenInput)  # said by the page's address alone
    provider = forms.ChoiceField(
        label="Provider",
        choices=[(AWS, "AWS S3"), (S3, "S3-compatible (MinIO)"), (GCP, "Google Cloud")],
        initial=AWS,
        widget=ProviderCards,
    )
    name = forms.CharField(
        label="Location Name",
        max_length=63,
        help_text="As people see it.",
        widget=forms.TextInput(PLAIN),
    )
    certificate = forms.CharField(
        required=False,
        label="Certificate",
        help_text="Only for a store whose certificate is not publicly trusted: its CA, in PEM form.",
        widget=CertificateArea(PLAIN | {"class": "mono", "rows": 5, "placeholder": "-----BEGIN CERTIFICATE-----"}),
    )
    certificate_file = forms.FileField(
        required=False,
        label="Or upload the certificate",
        widget=forms.FileInput({"accept": ".pem,.crt,.cer,.ca-bundle"}),
    )
    bucket = forms.CharField(
        label=BUCKET, max_length=255, help_text="It exists already.", widget=forms.TextInput(PLAIN)
    )
    region = RegionField(
        label="Region",
        max_length=63,
        help_text="us-east-1 where there are none.",
        widget=forms.TextInput(PLAIN | {"placeholder": "eu-central-1"}),
    )
    path_style = forms.BooleanField(
        required=False,
        label="Force S3 path style",
        help_text="The bucket's name goes behind the host, not in front of it. MinIO needs this; AWS does not.",
    )
    s3_url = forms.CharField(
        required=False,
        label="S3 URL",
        max_length=300,
        help_text="Leave empty for AWS S3.",
        widget=forms.TextInput(PLAIN | {"inputmode": "url", "placeholder": "https://minio.example.com:9000"}),
    )
    configuration = forms.CharField(
        required=False,
        label="The same on one line",
        max_length=500,
        help_text="region=…,s3ForcePathStyle=true|false,s3Url=…",
        widget=forms.TextInput(PLAIN | {"class": "mono"}),
    )
    sign_in = SignInField(
        label="Sign in with",
        choices=SIGN_INS,
        initial=SignIn.KEYS.value,
        widget=SignInCards,
    )
    role_arn = forms.CharField(
        required=False,
        label="Role ARN",
        max_length=BackupLocation._meta.get_field("role_arn").max_length,
        help_text="The role that may use the bucket.",
        widget=forms.TextInput(PLAIN | {"class": "mono", "placeholder": "arn:aws:iam::111122223333:role/velero"}),
    )
    external_id = forms.CharField(
        required=False,
        label="External ID",
        max_length=BackupLocation._meta.get_field("external_id").max_length,
        help_text="Made up for this location; the role's trust policy must require it. You may write another one.",
        widget=forms.TextInput(PLAIN | {"class": "mono"}),
    )
    account = forms.CharField(
        required=False,
        label="AWS account ID",
        max_length=20,
        help_text="Of whoever assumes the role: the clusters', or that of the keys. Only for the policy shown here.",
        widget=forms.TextInput(PLAIN | {"class": "mono", "inputmode": "numeric", "placeholder": "111122223333"}),
    )
    access_key = forms.CharField(
        required=False, label="Access key", max_length=2048, widget=WriteOnlyInput(PLAIN | {"class": "mono"})
    )
    secret_key = forms.CharField(
        required=False,
        label="Secret key",
        max_length=2048,
        widget=WriteOnlyPassword(PLAIN | {"class": "mono", "autocomplete": "new-password"}),
    )
    service_account = forms.CharField(
        required=False,
        label="JSON Credentials",
        max_length=LARGEST_KEY_FILE,
        help_text="The key file of a service account, as Google gave it to you.",
        widget=WriteOnlyArea(PLAIN | {"class": "mono", "rows": 5, "placeholder": '{ "type": "service_account", … }'}),
    )
    service_account_file = forms.FileField(
        required=False,
        label="Or upload the JSON key file",
        widget=forms.FileInput({"accept": ".json,application/json"}),
    )
    prefix = forms.CharField(  # type: ignore[assignment]  # Form.prefix is another thing: Django keeps fields apart
        required=False,
        label="Prefix",
        max_length=BackupLocation._meta.get_field("prefix").max_length,
        help_text="Each cluster writes below it, in a folder of its own. It cannot change once a backup is there.",
        widget=forms.TextInput(PLAIN | {"class": "mono"}),
    )

    def __init__(
        self,
        *args: Any,
        default_prefix: str,
        kept: Mapping[str, Any] | None = None,
        read_only: bool = False,
        **kwargs: Any,
    ) -> None:
        self.kept = dict(kept or {})
        self.reads = bool(self.kept.get("read_only", read_only))
        self.default_prefix = "" if self.reads else default_prefix
        proposed = {"prefix": self.default_prefix, "external_id": f"drydock-{secrets.token_hex(10)}"}
        kwargs["initial"] = proposed | dict(kwargs.get("initial") or {}) | self.kept
        super().__init__(*args, **kwargs)
        if self.reads:
            self._only_look()

    def _only_look(self) -> None:
        """The console itself has to get in, and nothing is ever written."""
        ways = self.fields["sign_in"]
        assert isinstance(ways, SignInField)
        ways.choices = [(value, label) for value, label in SIGN_INS if value != SignIn.STS_CLUSTER]
        self.fields["prefix"].help_text = "Only what lies below it is looked through. Empty: the whole bucket."

    def clean_read_only(self) -> bool:
        return self.reads

    def clean_s3_url(self) -> str:
        return str(self.cleaned_data["s3_url"]).rstrip("/")

    def clean_prefix(self) -> str:
        return str(self.cleaned_data["prefix"]).strip("/") or self.default_prefix

    def clean_account(self) -> str:
        """As people copy it: with or without the hyphens between the groups."""
        account = str(self.cleaned_data["account"]).replace("-", "").replace(" ", "")
        if account and not (account.isascii() and account.isdigit() and len(account) == 12):
            raise forms.ValidationError("An AWS account ID has 12 digits.")
        return account

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("provider") != GCP:
            self._clean_aws(cleaned)
        self._clean_service_account(cleaned)
        self._clean_secrets(cleaned)
        return cleaned

    def _clean_aws(self, cleaned: dict[str, Any]) -> None:
        try:
            self._clean_configuration(cleaned)
        except BadInput as error:
            add_error(self, error)
        if cleaned.get("provider") == S3:
            self._clean_store_of_ones_own(cleaned)
        self._clean_certificate(cleaned)

    def _clean_configuration(self, cleaned: dict[str, Any]) -> None:
        """Line and fields in step. The one that was changed counts; where both were and differ, the person decides."""
        line = cleaned.get("configuration", "")
        said = configuration.parse(line).said() if line != self.kept.get("configuration", "") else {}
        for name, value in said.items():
            if cleaned.get(name) not in (value, self._as_shown(name)):
                raise BadInput(
                    f"The line and the field “{self.fields[name].label}” say different things.",
                    field="configuration",
                    remedy="Correct one of them, or empty the line.",
                )
            cleaned[name] = value.rstrip("/") if name == "s3_url" else value
        if all(name in cleaned for name in CONFIGURATION):
            cleaned["configuration"] = configuration.one_line(**{name: cleaned[name] for name in CONFIGURATION})

    def _as_shown(self, name: str) -> Any:
        """What the page showed in the field before the person came; blank fields are an empty text or False."""
        return self.get_initial_for_field(self.fields[name], name) or self.fields[name].to_python("")

    def _clean_store_of_ones_own(self, cleaned: dict[str, Any]) -> None:
        if not cleaned.get("region") and "region" not in self.errors:
            cleaned["region"] = WITHOUT_REGIONS
        if not cleaned.get("s3_url") and "s3_url" not in self.errors:
            self.add_error("s3_url", "Write the address of your store, such as https://minio.example.com:9000.")

    def _clean_certificate(self, cleaned: dict[str, Any]) -> None:
        """An uploaded file replaces what is in the text field."""
        upload = cleaned.get("certificate_file")
        text = upload.read(LARGEST_BUNDLE + 1).decode(errors="replace") if upload else cleaned.get("certificate", "")
        cleaned["certificate"] = text.strip() + "\n" if text.strip() else ""
        try:
            if cleaned["certificate"]:
                read_bundle(cleaned["certificate"])
        except BadInput as error:
            add_error(self, error)

    def _clean_service_account(self, cleaned: dict[str, Any]) -> None:
        """An uploaded file replaces what is in the text field. What is in it is judged when it is to be tried."""
        upload = cleaned.get("service_account_file")
        if upload:
            cleaned["service_account"] = upload.read(LARGEST_KEY_FILE).decode("utf-8-sig", errors="replace")

    def _clean_secrets(self, cleaned: dict[str, Any]) -> None:
        """Blank means the one that was typed before. Only those of the chosen way to sign in are needed."""
        needed = NEEDED[sign_in_of(cleaned)]
        for name in SECRETS:
            cleaned[name] = cleaned.get(name) or self.kept.get(name, "")
            if name in needed and not cleaned[name] and name not in self.errors:
                self.add_error(name, f"The {needed[name]} is missing.")

    def typed(self) -> dict[str, Any]:
        """The form as it stands, to be kept: cleaned where that could be done, else as it was typed. Holds secrets."""
        raw = {name: self[name].value() for name in self.fields if name not in UPLOADS}
        raw |= {name: raw[name] or self.kept.get(name, "") for name in SECRETS}
        raw |= {name: value for name, value in self.cleaned_data.items() if name in raw and name not in self.errors}
        if "PRIVATE KEY" in raw["certificate"]:
            raw["certificate"] = ""
        return raw

    def _over(self, typed: dict[str, Any]) -> LocationForm:
        """The same kind of form over other data."""
        return LocationForm(typed, default_prefix=self.default_prefix, kept=self.kept, read_only=self.reads)

    def again(self, error: BadInput | None = None) -> LocationForm:
        """The same form with its errors, as a page shows it: with the uploaded certificate in the text field."""
        shown = self._over(self.typed())
        shown.full_clean()
        for field, messages in self.errors.items():
            if field not in shown.errors:
                shown.add_error(field if field in shown.fields else None, list(messages))
        if error:
            add_error(shown, error)
        return shown
