"""A location's Configuration on one line, as Palette writes it: `region=…,s3ForcePathStyle=true|false,s3Url=…`.

Pure. What a line does not name is None, "not said", which is not the same as empty. static/js/location.js does the same
in the browser, so that line and fields stay in step while somebody types.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from console.lib.errors import BadInput, clip

REGION, PATH_STYLE, S3_URL = "region", "s3ForcePathStyle", "s3Url"
_KEYS = {key.lower(): key for key in (REGION, PATH_STYLE, S3_URL)}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a line says; None for what it does not name."""

    region: str | None = None
    path_style: bool | None = None
    s3_url: str | None = None

    def said(self) -> dict[str, Any]:
        """Form fields and their values, without those that were not named."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def parse(line: str) -> Configuration:
    """What `line` says. Blanks around names and values do not count, nor does the case of names.

    Raises: BadInput for the field `configuration`, naming the part that cannot be read.
    """
    said: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in line.split(","))):
        key, value = _pair(part)
        if key in said:
            raise _unreadable(f"“{key}” is named twice.")
        said[key] = value
    return Configuration(region=said.get(REGION), path_style=_boolean(said.get(PATH_STYLE)), s3_url=said.get(S3_URL))


def one_line(*, region: str, path_style: bool, s3_url: str) -> str:
    """The line that says all three."""
    return f"{REGION}={region},{PATH_STYLE}={'true' if path_style else 'false'},{S3_URL}={s3_url}"


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    key = _KEYS.get(name.strip().lower())
    if key is None or not equals:
        raise _unreadable(f"“{clip(part, 60)}” is not a part of it.")
    return key, value.strip()


def _boolean(text: str | None) -> bool | None:
    if text is None:
        return None
    if text.lower() not in _BOOLEANS:
        raise _unreadable(f"“{PATH_STYLE}” is either true or false.")
    return _BOOLEANS[text.lower()]


def _unreadable(why: str) -> BadInput:
    return BadInput(why, field="configuration", remedy=f"Write {REGION}=…,{PATH_STYLE}=true|false,{S3_URL}=….")
