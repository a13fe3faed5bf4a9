"""How a cluster's Velero signs in to a location: the Secret's text and the location's `config`, for each way.

A role is assumed by the AWS SDK inside the plugin, from the profile in the Secret (velero-plugin-for-aws
config.go:39-87): with the keys beside it, or with what the node's metadata service gives, which is the instance
profile that the cluster was launched with. The plugin blanks the variables of web identities (IRSA) when it is given a
file, so these cannot be the source here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from backups.velero.location import aws_config, gcp_config
from backups.velero.secret import AssumedRole, aws_credentials_file, aws_role_file
from console.lib.errors import BadInput

KEYS, STS_CLUSTER, STS_KEYS, SERVICE_ACCOUNT = "keys", "sts-cluster", "sts-keys", "service-account"
SignIn = Literal["keys", "sts-cluster", "sts-keys", "service-account"]


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Where a location is and who signs in. `gcs_url` stands in for Google, by the site owner's setting alone."""

    provider: str
    sign_in: SignIn
    credentials: Mapping[str, str] = field(repr=False)
    region: str = ""
    role_arn: str = ""
    external_id: str = ""
    s3_url: str = ""
    path_style: bool = False
    gcs_url: str = ""

    def config(self) -> dict[str, str]:
        """The BackupStorageLocation's `config`. Raises: BadInput."""
        if self.provider == "gcp":
            return gcp_config(self.gcs_url)
        return aws_config(region=self.region, s3_url=self.s3_url, path_style=self.path_style)

    def secret_text(self) -> str:
        """What the Secret holds. Raises: BadInput (something empty, or with a line break in it)."""
        if self.sign_in == SERVICE_ACCOUNT:
            return _key_file(self.credentials.get("service_account", ""))
        keys = {name: self.credentials.get(name, "") for name in ("access_key", "secret_key")}
        if self.sign_in == KEYS:
            return aws_credentials_file(region=self.region, **keys)
        role = AssumedRole(role_arn=self.role_arn, external_id=self.external_id, source="Ec2InstanceMetadata")
        if self.sign_in == STS_KEYS:
            role = replace(role, source="keys", access_key=keys["access_key"], secret_key=keys["secret_key"])
        return aws_role_file(role, self.region)


def _key_file(text: str) -> str:
    """Google's SDK would run a program for a JSON of another kind, so nothing but a service account's key goes out."""
    try:
        kind = json.loads(text).get("type")
    except (ValueError, AttributeError):
        kind = None
    if kind != "service_account":
        raise BadInput("The JSON credentials are not the key of a service account.", field="service_account")
    return text
