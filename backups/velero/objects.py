"""What all kinds share: who an object is, whose it is, and calls that may be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from backups.velero import names
from backups.velero.reading import Fields
from console.lib.errors import AlreadyThere, Missing


class Identity(TypedDict):
    """The fields every report begins with."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    deleting_at: datetime | None
    request_id: str


def identity(fields: Fields) -> Identity:
    """Who the object is; `request_id` is the uuid of our row, empty for what is not ours."""
    labels = fields.mapping("metadata.labels")
    return {
        "name": fields.text("metadata.name"),
        "namespace": fields.text("metadata.namespace"),
        "uid": fields.text("metadata.uid"),
        "resource_version": fields.text("metadata.resourceVersion"),
        "labels": labels,
        "annotations": fields.mapping("metadata.annotations"),
        "created_at": fields.moment("metadata.creationTimestamp"),
        "deleting_at": fields.moment("metadata.deletionTimestamp"),
        "request_id": labels.get(names.REQUEST, ""),
    }


def shares_labels(obj: object, wanted: Mapping[str, str], keys: tuple[str, ...]) -> bool:
    """Whether `obj` carries each of `keys` with the value it has in `wanted`; keys not in `wanted` do not count."""
    found = Fields(obj).mapping("metadata.labels")
    return all(found.get(key) == wanted[key] for key in keys if key in wanted)


def read_name(obj: object) -> str:
    """What the object is called; empty for what has no name."""
    return Fields(obj).text("metadata.name")


def as_read(obj: names.Json) -> names.Json:
    """Metadata for a patch that is to fail with Changed when the object is not what was read any more."""
    version = Fields(obj).text("metadata.resourceVersion")
    return {"resourceVersion": version} if version else {}


def create_once(conn: names.KubeApi, plural: str, manifest: names.Json) -> names.Json:
    """Create; a 409 for an object that carries the same request label is the same wish, already granted.

    Raises: AlreadyThere (the name belongs to somebody else), and whatever the connection raises.
    """
    meta = manifest["metadata"]
    try:
        return conn.create(names.path(plural, meta["namespace"]), manifest)
    except AlreadyThere as conflict:
        try:
            existing = conn.get(names.path(plural, meta["namespace"], meta["name"]))
        except Missing:
            raise conflict from None
        if names.REQUEST in meta["labels"] and shares_labels(existing, meta["labels"], (names.REQUEST,)):
            return existing
        raise


def remove(conn: names.KubeApi, path: str, *, uid: str | None = None) -> None:
    """Delete; an object that is not there is what was wanted."""
    try:
        conn.delete(path, uid=uid)
    except Missing:
        return


def is_gone(conn: names.KubeApi, plural: str, namespace: str, name: str) -> bool:
    """Whether the object has left the cluster (a deletion waits for finalizers)."""
    try:
        conn.get(names.path(plural, namespace, name))
    except Missing:
        return True
    return False
