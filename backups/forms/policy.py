"""A backup policy: what a person types, parsed into what `create_policy` and `update_policy` take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from backups import lifecycle, schedule
from backups.forms.backup import KEEP, OTHER_DATE, PLAIN_TEXT, HoldsForm
from backups.models import BackupPolicy, Timing
from backups.schedule import MONTHS, Plan
from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.models import Cluster

OTHER_DAYS = "days"
PERIODS = [*((value, label) for value, label in KEEP if value != OTHER_DATE), (OTHER_DAYS, "Another number of days")]
SUNDAY = 6
EVERY = "*"
FIELDS = ("month", "day", "hour", "minute")


def _choices(every: str, values: range, labels: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    named = [(str(value), labels[value - 1] if labels else f"{value:02}") for value in values]
    return [(EVERY, every), *named]


def _select(
    label: str, every: str, values: range, labels: tuple[str, ...] = (), initial: str = EVERY
) -> forms.TypedChoiceField:
    choices = _choices(every, values, labels)
    return forms.TypedChoiceField(label=label, choices=choices, coerce=_number, initial=initial)


def _number(chosen: str) -> int | None:
    """None for every one."""
    return None if chosen == EVERY else int(chosen)


class PolicyForm(HoldsForm):
    """The same fields for a new policy and for one that is edited, whose prefix stays."""

    prefix = forms.CharField(  # type: ignore[assignment]  # a field is no attribute of its form
        label="Backup prefix",
        max_length=lifecycle.LONGEST_NAME,
        help_text="A time is appended for each backup. Lower-case letters, digits, hyphens; at most "
        f"{lifecycle.LONGEST_NAME}.",
        widget=forms.TextInput(PLAIN_TEXT),
    )
    timing = forms.ChoiceField(label="Backup schedule", choices=Timing.choices, initial=Timing.WEEKLY)
    first_day = forms.DateField(
        required=False,
        label="First run on",
        help_text="Then every 14 days, at midnight.",
        widget=forms.DateInput({"type": "date"}),
    )
    month = _select("Month", "Every month", range(1, 13), MONTHS)
    day = _select("Day", "Every day", range(1, 32))
    hour = _select("Hour", "Every hour", range(24), initial="0")
    minute = _select("Minute", "Every minute", range(60), initial="0")
    time_zone = forms.CharField(
        label="Time zone",
        initial="UTC",
        max_length=64,
        help_text="UTC, or a place: type a city to search.",
        widget=forms.TextInput({"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )
    keep = forms.ChoiceField(
        label="Period until expiry",
        choices=PERIODS,
        initial="30",
        help_text="Each backup is removed automatically when it is that old.",
    )
    days = forms.IntegerField(
        required=False,
        label="Number of days",
        min_value=1,
        max_value=3650,
        help_text="Only for “Another number of days”.",
    )

    def __init__(self, cluster: Cluster, *args: Any, policy: BackupPolicy | None = None, **kwargs: Any) -> None:
        super().__init__(cluster, *args, initial=_initial(policy) if policy else None, **kwargs)
        if policy:
            del self.fields["prefix"], self.fields["submission"]
        if not (policy and policy.first_day):
            today = timezone.localdate()
            self.fields["first_day"].initial = today + timedelta(days=(SUNDAY - today.weekday()) or 7)
        self.problem = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("keep") == OTHER_DAYS and not cleaned.get("days"):
            self.add_error("days", "Say how many days.")
        if plan := self.plan():
            try:
                schedule.check(plan)
            except BadInput as error:
                self.problem = error.sentence()
                add_error(self, error)
        return cleaned

    def plan(self) -> Plan | None:
        """When it runs, of a form that need not be complete; None while that is not told."""
        told = self.cleaned_data
        if "timing" not in told or "time_zone" not in told:
            return None
        return Plan(timing=schedule.Timing(told["timing"]), zone=told["time_zone"], **self._details())

    def _details(self) -> dict[str, Any]:
        timing, told = self.cleaned_data["timing"], self.cleaned_data
        fields = {name: told.get(name) if timing == Timing.CUSTOM else None for name in FIELDS}
        return fields | {"first_day": told.get("first_day") if timing == Timing.TWO_WEEKS else None}

    def asked(self) -> dict[str, Any]:
        """Keywords for `create_policy`, and for `update_policy` where there is no prefix."""
        taken = ("prefix", "submission", "timing", "time_zone", "location", "include_disks", "cluster_resources")
        values = {name: self.cleaned_data[name] for name in taken if name in self.fields}
        return values | self._details() | {"keep_for": self._keep_for(), "namespaces": self.namespaces()}

    def _keep_for(self) -> timedelta:
        keep = self.cleaned_data["keep"]
        return timedelta(days=self.cleaned_data["days"] if keep == OTHER_DAYS else int(keep))


def _initial(policy: BackupPolicy) -> dict[str, Any]:
    days = str(max(1, policy.keep_for.days))
    preset = days in dict(PERIODS) and policy.keep_for == timedelta(days=int(days))
    same = (*FIELDS, "timing", "first_day", "time_zone", "location", "include_disks", "cluster_resources")
    ticked = [name for name in policy.namespaces if name in policy.cluster.facts.get("namespaces", [])]
    typed = [name for name in policy.namespaces if name not in ticked]
    values = {name: getattr(policy, name) for name in same}
    values |= {name: EVERY if values[name] is None else values[name] for name in FIELDS}
    if policy.timing != Timing.CUSTOM:
        values |= {"hour": 0, "minute": 0}
    kept = {"keep": days if preset else OTHER_DAYS, "days": None if preset else int(days)}
    return values | kept | {"known": ticked, "others": ", ".join(typed)}


class PolicyDeleteForm(forms.Form):
    typed_name = forms.CharField(required=False, max_length=lifecycle.LONGEST_NAME)
