"""Secrets we write for Velero: credentials of a location, the repository password.

Everything that goes into the credentials file is checked for line breaks: a key that carries one could add a
`credential_process`, which the AWS SDK would run.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from backups.velero import names
from backups.velero.objects import as_read, remove, shares_labels
from console.kube import paths
from console.lib.errors import AlreadyThere, BadInput, Missing, Refused

CLOUD = "cloud"
REPOSITORY_SECRET = "velero-repo-credentials"  # noqa: S105 - the name of the Secret, not its content
REPOSITORY_KEY = "repository-password"
_OWNER = (names.MANAGED_BY, names.LOCATION, names.CLUSTER)
_PLAIN = re.compile(r"[\x21-\x7e]+")
LONGEST_ROLE_SESSION = 12 * 3600


@dataclass(frozen=True, kw_only=True)
class AssumedRole:
    """An AWS role to be assumed by whoever uses the location. `duration` is in seconds.

    `source`: "keys" (those of a cloud account, given below) or the cluster's own identity as the AWS SDK names it.
    """

    role_arn: str
    external_id: str
    source: Literal["keys", "Ec2InstanceMetadata", "EcsContainer", "Environment"] = "keys"
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_name: str = names.DRYDOCK
    duration: int = 3600


def aws_credentials_file(access_key: str, secret_key: str, region: str) -> str:
    """The `cloud` value for static keys. With the region, because kopia passes none (velero.md §2).

    Raises: BadInput (a key or region that is empty or holds blanks or line breaks).
    """
    return _ini("default", {**_keys(access_key, secret_key), "region": _plain(region, "region")})


def aws_role_file(role: AssumedRole, region: str) -> str:
    """The `cloud` value for an assumed role (velero-plugin-for-aws config.go:39-87; one file serves both SDKs)."""
    if not 900 <= role.duration <= LONGEST_ROLE_SESSION:
        raise BadInput("A role can be assumed for 15 minutes to 12 hours.", field="duration")
    settings = {
        "region": _plain(region, "region"),
        "role_arn": _plain(role.role_arn, "role_arn"),
        "external_id": _plain(role.external_id, "external_id"),
        "role_session_name": _plain(role.session_name, "session_name"),
        "duration_seconds": str(role.duration),
    }
    if role.source != "keys":
        return _ini("default", {**settings, "credential_source": role.source})
    base = _ini("base", _keys(role.access_key, role.secret_key))
    return base + _ini("default", {**settings, "source_profile": "base"})


def _keys(access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "aws_access_key_id": _plain(access_key, "access_key"),
        "aws_secret_access_key": _plain(secret_key, "secret_key"),
    }


def _ini(profile: str, settings: Mapping[str, str]) -> str:
    return "\n".join([f"[{profile}]", *(f"{key}={value}" for key, value in settings.items()), ""])


def _plain(text: str, field: str) -> str:
    # The message must not repeat the value: it may be a secret.
    if not _PLAIN.fullmatch(text):
        raise BadInput(
            "This is empty or holds a blank, a line break or a character that cannot be in it.",
            field=field,
            remedy="Copy it again, without the blanks around it.",
        )
    return text


def secret_manifest(name: str, namespace: str, data: Mapping[str, str], labels: Mapping[str, str]) -> names.Json:
    """An Opaque Secret with our labels. `data` is plain text; it is encoded here."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(name, namespace, labels),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def ensure_secret(conn: names.KubeApi, manifest: names.Json, still_wanted: Callable[[], None] = lambda: None) -> bool:
    """Make the cluster's Secret equal `manifest`; true when something was written.

    Velero does not watch Secrets: after a change call `revalidate_location`. `still_wanted` raises when `manifest` is
    out of date. It is asked between reading and writing, and the writing fails if the object moved on since it was
    read: so what is older never replaces what is newer.

    Raises: Refused (a Secret of that name belongs to somebody else), Changed, what `still_wanted` and the connection
    raise.
    """
    meta = manifest["metadata"]
    still_wanted()
    try:
        conn.create(paths.core("secrets", meta["namespace"]), manifest)
    except AlreadyThere:
        return _update(conn, manifest, still_wanted)
    return True


def _update(conn: names.KubeApi, manifest: names.Json, still_wanted: Callable[[], None]) -> bool:
    meta = manifest["metadata"]
    path = paths.core("secrets", meta["namespace"], meta["name"])
    existing = conn.get(path)
    if not shares_labels(existing, meta["labels"], _OWNER):
        raise Refused(
            f"The namespace {meta['namespace']} has a Secret {meta['name']} that this console did not make.",
            remedy="Rename or remove it in the cluster, then try again.",
        )
    stored = existing.get("data") or {}
    if stored == manifest["data"] and shares_labels(existing, meta["labels"], tuple(meta["labels"])):
        return False
    dropped = dict.fromkeys(set(stored) - set(manifest["data"]))
    still_wanted()
    which = {"labels": meta["labels"], **as_read(existing)}
    conn.merge_patch(path, {"metadata": which, "data": {**dropped, **manifest["data"]}})
    return True


def delete_secret(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Remove it; gone already is gone."""
    remove(conn, paths.core("secrets", namespace, name))


def repository_password(conn: names.KubeApi, namespace: str) -> str | None:
    """The password of the file-system backup repositories, None when there is none yet.

    Clusters that restore each other's file-system backups need the same one (repository/keys/keys.go:33-66).
    """
    try:
        stored = conn.get(paths.core("secrets", namespace, REPOSITORY_SECRET))
        encoded = (stored.get("data") or {}).get(REPOSITORY_KEY)
        return base64.b64decode(encoded).decode() if isinstance(encoded, str) else None
    except (Missing, ValueError):
        return None


def keep_out_of_backups(conn: names.KubeApi, namespace: str, name: str = REPOSITORY_SECRET) -> None:
    """Label a Secret that Velero itself made, so that no backup carries it. Raises: Missing, and the connection's."""
    labels = {names.EXCLUDE_FROM_BACKUP: "true"}
    conn.merge_patch(paths.core("secrets", namespace, name), {"metadata": {"labels": labels}})
