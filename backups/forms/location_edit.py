"""Editing a backup location: the form that adds one, begun with what is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups.actions.location import why_fixed
from backups.actions.location_draft import saved_as_typed
from backups.forms.location import SECRETS, UPLOADS, LocationForm
from backups.models import BackupLocation

PLACE = ("provider", "bucket", "prefix", "s3_url")


class LocationEditForm(LocationForm):
    """`kept` is what was typed before in this edit, nothing at first.

    Once the location is in use, its place is shown and no field; what is posted for it all the same has to agree, or
    the action refuses it.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        *,
        location: BackupLocation,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        self.location, self.fixed = location, why_fixed(location)
        begun = dict(kept or {}) or saved_as_typed(location)
        if data is not None and self.fixed:
            data = {name: begun[name] for name in PLACE} | _flat(data)
        super().__init__(data, files, default_prefix=location.prefix, kept=begun)

    def _over(self, typed: dict[str, Any]) -> LocationForm:
        return LocationEditForm(typed, location=self.location, kept=self.kept)

    def _clean_secrets(self, cleaned: dict[str, Any]) -> None:
        """Keys are sent only to the address they were typed for: whoever edits has not seen them."""
        if cleaned.get("s3_url", self.kept["s3_url"]) != self.kept["s3_url"]:
            self.kept |= dict.fromkeys(SECRETS, "")
        super()._clean_secrets(cleaned)


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """A posted form as a plain mapping: no field here has several values."""
    return {name: data[name] for name in data if name not in UPLOADS}
