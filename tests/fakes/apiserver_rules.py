"""What the fake API server knows of kinds, names and schemas, and the Status bodies it answers with.

The wording is that of kube-apiserver 1.36; `tests/contract/test_kube.py` holds both against each other.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_KINDS = """
v1 Namespace namespaces cluster
v1 Node nodes cluster
v1 PersistentVolume persistentvolumes cluster
v1 ConfigMap configmaps
v1 Endpoints endpoints
v1 Event events
v1 PersistentVolumeClaim persistentvolumeclaims
v1 Pod pods
v1 ResourceQuota resourcequotas
v1 Secret secrets
v1 Service services
v1 ServiceAccount serviceaccounts
apps/v1 DaemonSet daemonsets
apps/v1 Deployment deployments
apps/v1 ReplicaSet replicasets
apps/v1 StatefulSet statefulsets
batch/v1 Job jobs
rbac.authorization.k8s.io/v1 ClusterRole clusterroles cluster
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings cluster
rbac.authorization.k8s.io/v1 Role roles
rbac.authorization.k8s.io/v1 RoleBinding rolebindings
storage.k8s.io/v1 CSIDriver csidrivers cluster
storage.k8s.io/v1 StorageClass storageclasses cluster
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions cluster
snapshot.storage.k8s.io/v1 VolumeSnapshotClass volumesnapshotclasses cluster
snapshot.storage.k8s.io/v1 VolumeSnapshotContent volumesnapshotcontents cluster
snapshot.storage.k8s.io/v1 VolumeSnapshot volumesnapshots
velero.io/v1 Backup backups
velero.io/v1 BackupRepository backuprepositories
velero.io/v1 BackupStorageLocation backupstoragelocations
velero.io/v1 DeleteBackupRequest deletebackuprequests
velero.io/v1 DownloadRequest downloadrequests
velero.io/v1 PodVolumeBackup podvolumebackups
velero.io/v1 PodVolumeRestore podvolumerestores
velero.io/v1 Restore restores
velero.io/v1 Schedule schedules
velero.io/v1 ServerStatusRequest serverstatusrequests
velero.io/v1 VolumeSnapshotLocation volumesnapshotlocations
velero.io/v2alpha1 DataDownload datadownloads
velero.io/v2alpha1 DataUpload datauploads
"""
VELERO = ("velero.io",)
SNAPSHOTS = ("snapshot.storage.k8s.io",)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is '" + _NAME.pattern + "')"
)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True)
class Resource:
    """One served collection, such as backups.velero.io."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As the API server names it in messages: `backups.velero.io`, `secrets`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


class Refusal(Exception):
    """An answer that is no success, with its Status body (or plain text where the real one sends that)."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.body["message"] = message
        if reason:
            self.body["reason"] = reason
        if details is not None:
            self.body["details"] = details
        self.body["code"] = code


@cache
def all_resources() -> dict[tuple[str, str, str], Resource]:
    """Every kind the fake knows, by (group, version, plural)."""
    found = {}
    for line in _KINDS.split("\n"):
        if words := line.split():
            group, _, version = words[0].rpartition("/")
            resource = Resource(group, version, words[1], words[2], namespaced="cluster" not in words[3:])
            found[group, version, words[2]] = resource
    return found


def details(resource: Resource, name: str = "", *, kind: str = "") -> dict[str, Any]:
    """The `details` of a Status: only what is known."""
    parts = {"name": name, "group": resource.group, "kind": kind or resource.plural}
    return {key: value for key, value in parts.items() if value}


def not_found(resource: Resource, name: str) -> Refusal:
    return Refusal(404, "NotFound", f'{resource.qualified} "{name}" not found', details(resource, name))


def already_exists(resource: Resource, name: str) -> Refusal:
    return Refusal(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', details(resource, name))


def modified(resource: Resource, name: str) -> Refusal:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; please apply '
        "your changes to the latest version and try again"
    )
    return Refusal(409, "Conflict", message, details(resource, name))


def other_uid(resource: Resource, name: str, wanted: str, found: str) -> Refusal:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified_kind} "{name}": the UID in the precondition ({wanted}) '
        f"does not match the UID in record ({found}). The object might have been deleted and then recreated"
    )
    return Refusal(409, "Conflict", message, details(resource, name, kind=resource.kind))


def too_old(version: str | int, oldest: int) -> Refusal:
    return Refusal(410, "Expired", f"too old resource version: {version} ({oldest})")


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)


def check(resource: Resource, body: dict[str, Any], *, strict: bool = False) -> None:
    """Validate like the real one and drop fields that its schema does not know. `strict`: as server-side apply does.

    Raises: Refusal (422, or 500 for an unknown field under apply).
    """
    _check_kind(resource, body)
    _check_metadata(resource, body)
    if resource.plural == "secrets":
        _check_secret(body)
    schema = _schemas().get(f"{resource.plural}.{resource.group}")
    if schema is not None:
        if strict and (unknown := _first_unknown(schema, body)):
            where = f"{resource.api_version}, Kind={resource.kind}"
            raise Refusal(
                500, "", f"failed to create typed patch object (/; {where}): {unknown}: field not declared in schema"
            )
        _prune(schema, body)
        _check_value(resource, body, schema, body, "")


@cache
def _schemas() -> dict[str, Any]:
    """The types in Velero's CRDs, without descriptions; a contract case holds the file against the real CRDs."""
    schemas: dict[str, Any] = json.loads((Path(__file__).parent / "velero_schemas.json").read_text())
    return schemas


def bare_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Of an OpenAPI schema what the fake judges by: types, enums, required fields."""
    kept: dict[str, Any] = {
        key: schema[key]
        for key in ("type", "enum", "required", "nullable", "x-kubernetes-int-or-string")
        if schema.get(key)
    }
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        kept["open"] = True
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = bare_schema(schema[key])
    if "properties" in schema:
        kept["properties"] = {name: bare_schema(inner) for name, inner in schema["properties"].items()}
    return kept


def _invalid(resource: Resource, body: dict[str, Any], field: str, reason: str, problem: str) -> Refusal:
    name = str(body.get("metadata", {}).get("name", ""))
    kind = body.get("kind", resource.kind)
    shown = f"{kind}.{resource.group}" if resource.group else kind
    about = details(resource, name, kind=kind) | {"causes": [{"reason": reason, "message": problem, "field": field}]}
    return Refusal(422, "Invalid", f'{shown} "{name}" is invalid: {field}: {problem}', about)


def _check_kind(resource: Resource, body: dict[str, Any]) -> None:
    kind = body.get("kind", resource.kind)
    if kind != resource.kind:
        problem = f'Invalid value: "{kind}": must be {resource.kind}'
        raise _invalid(resource, body, "kind", "FieldValueInvalid", problem)


def _check_metadata(resource: Resource, body: dict[str, Any]) -> None:
    metadata = body["metadata"]
    name = metadata.get("name", "")
    if not name:
        problem = "Required value: name or generateName is required"
        raise _invalid(resource, body, "metadata.name", "FieldValueRequired", problem)
    if len(name) > 253:
        problem = f'Invalid value: "{name}": must be no more than 253 characters'
        raise _invalid(resource, body, "metadata.name", "FieldValueInvalid", problem)
    free = resource.group == "rbac.authorization.k8s.io"  # RBAC names may hold colons
    if not free and not _NAME.fullmatch(name):
        problem = f'Invalid value: "{name}": {_NAME_RULE}'
        raise _invalid(resource, body, "metadata.name", "FieldValueInvalid", problem)
    for value in (metadata.get("labels") or {}).values():
        if len(str(value).encode()) > 63:
            problem = f'Invalid value: "{value}": must be no more than 63 bytes'
            raise _invalid(resource, body, "metadata.labels", "FieldValueInvalid", problem)


def _check_secret(body: dict[str, Any]) -> None:
    data = body.get("data") or {}
    for value in data.values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0'
            ) from error
    for key, text in (body.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode(text.encode()).decode()
    body["data"] = data
    body.setdefault("type", "Opaque")


def _check_value(resource: Resource, body: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> None:
    if value is None or schema.get("x-kubernetes-int-or-string"):
        return
    expected = schema.get("type", "")
    fits = isinstance(value, _TYPES.get(expected, (object,)))
    if not fits or (isinstance(value, bool) and expected in ("integer", "number")):
        found = _type_name(value)
        problem = f'Invalid value: "{found}": {path} in body must be of type {expected}: "{found}"'
        raise _invalid(resource, body, path, "FieldValueTypeInvalid", problem)
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(f'"{choice}"' for choice in schema["enum"])
        problem = f'Unsupported value: "{value}": supported values: {supported}'
        raise _invalid(resource, body, path, "FieldValueNotSupported", problem)
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                field = f"{path}.{name}".lstrip(".")
                raise _invalid(resource, body, field, "FieldValueRequired", "Required value")
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if known and (path or name in ("spec", "status")):
                _check_value(resource, body, known, inner, f"{path}.{name}".lstrip("."))
    if isinstance(value, list) and "items" in schema:
        for index, inner in enumerate(value):
            _check_value(resource, body, schema["items"], inner, f"{path}[{index}]")


def _prune(schema: dict[str, Any], value: Any) -> None:
    if isinstance(value, list) and "items" in schema:
        for inner in value:
            _prune(schema["items"], inner)
    if not isinstance(value, dict) or "properties" not in schema:
        return
    for name in list(value):
        known = schema["properties"].get(name)
        if known is not None and name != "metadata":
            _prune(known, value[name])
        elif known is None and not schema.get("open"):
            del value[name]


def _first_unknown(schema: dict[str, Any], value: Any, path: str = "") -> str:
    if not isinstance(value, dict) or "properties" not in schema or schema.get("open"):
        return ""
    for name, inner in value.items():
        known = schema["properties"].get(name)
        if known is None:
            return f"{path}.{name}"
        if name != "metadata" and (found := _first_unknown(known, inner, f"{path}.{name}")):
            return found
    return ""


def _type_name(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
