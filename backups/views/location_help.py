"""What is shown beside the form of a location: its values, quoted for where they stand. Never a key.

static/js/location.js fills in the same values as they are typed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Help:
    """Values for the policy (`*_json`, inside a JSON text) and for commands (quoted for a shell, options included)."""

    bucket_json: str
    bucket_or_blank: str
    folder: str
    region: str
    endpoint: str
    alias_url: str

    @classmethod
    def of(cls, form: Mapping[str, Any]) -> Help:
        """From the form as it stands; what is missing shows as a word in capitals."""
        values = {name: str(value or "") for name, value in form.items()}
        bucket, prefix, url = values["bucket"], values["prefix"].strip("/"), values["s3_url"]
        return cls(
            bucket_json=json.dumps(bucket or "BUCKET", ensure_ascii=False)[1:-1],
            bucket_or_blank=bucket,
            folder=shlex.quote(f"{bucket or 'BUCKET'}/{prefix}/"),
            region=shlex.quote(values["region"] or "REGION"),
            endpoint=f" \\\n  --endpoint-url {shlex.quote(url)}" if url else "",
            alias_url=shlex.quote(url or "https://s3.amazonaws.com"),
        )
