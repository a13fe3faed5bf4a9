"""What is shown beside the form of a location: its values, quoted for where they stand. Never a key.

static/js/location.js fills in the same values as they are typed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = ("bucket", "region", "s3_url", "prefix", "role_arn", "external_id", "account")


@dataclass(frozen=True)
class Help:
    """Values for the policies (`*_json`, inside a JSON text) and for commands (quoted for a shell, options included).

    `partition` is `aws`, or another of Amazon's, as the role's ARN or the region says.
    """

    bucket_json: str
    folder: str
    gs_folder: str
    gs_bucket: str
    region: str
    endpoint: str
    alias_url: str
    role_json: str
    role: str
    external_id_json: str
    external_id: str
    account: str
    partition: str
    member: str
    email: str

    @classmethod
    def of(cls, form: Mapping[str, Any], email: str = "") -> Help:
        """From the form as it stands; what is missing shows as a word in capitals. `email`: the service account's."""
        values = {name: str(value or "").strip() for name, value in form.items()}
        bucket, prefix, url = values["bucket"], values["prefix"].strip("/"), values["s3_url"]
        role, external_id = values["role_arn"] or "ROLE-ARN", values["external_id"] or "EXTERNAL-ID"
        return cls(
            bucket_json=_json(bucket or "BUCKET"),
            folder=shlex.quote(f"{bucket or 'BUCKET'}/{prefix}/"),
            gs_folder=shlex.quote(f"gs://{bucket or 'BUCKET'}/{prefix}/"),
            gs_bucket=shlex.quote(f"gs://{bucket or 'BUCKET'}"),
            region=shlex.quote(values["region"] or "REGION"),
            endpoint=f" \\\n  --endpoint-url {shlex.quote(url)}" if url else "",
            alias_url=shlex.quote(url or "https://s3.amazonaws.com"),
            role_json=_json(role),
            role=shlex.quote(role),
            external_id_json=_json(external_id),
            external_id=shlex.quote(external_id),
            account=_json(_account(values["account"]) or "ACCOUNT-ID"),
            partition=_partition(role, values["region"]),
            member=shlex.quote(f"serviceAccount:{email or 'SERVICE-ACCOUNT-EMAIL'}"),
            email=shlex.quote(email or "SERVICE-ACCOUNT-EMAIL"),
        )


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _account(text: str) -> str:
    return text.replace("-", "").replace(" ", "")


def _partition(role: str, region: str) -> str:
    """Policies for China and GovCloud name their own part of AWS."""
    said = role.split(":")[1] if role.startswith("arn:") else ""
    if said in ("aws", "aws-cn", "aws-us-gov"):
        return said
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
