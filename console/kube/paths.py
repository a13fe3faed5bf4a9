"""URL paths of Kubernetes resources, with every part quoted, so that a name can never become another path."""

from __future__ import annotations

from urllib.parse import quote

from console.lib.errors import BadInput, clip


def core(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """`/api/v1/…`: the collection, or one object when `name` is given. `namespace` None means cluster-wide."""
    return _resource("/api/v1", plural, namespace, name)


def custom(group: str, version: str, plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """`/apis/<group>/<version>/…`, for built-in groups and custom resources alike."""
    return _resource(f"/apis/{_part(group)}/{_part(version)}", plural, namespace, name)


def _resource(root: str, plural: str, namespace: str | None, name: str | None) -> str:
    parts = [root]
    if namespace is not None:
        parts += ["namespaces", _part(namespace)]
    parts.append(_part(plural))
    if name is not None:
        parts.append(_part(name))
    return "/".join(parts)


def _part(text: str) -> str:
    # Empty would turn one object into its whole collection, dots would climb; the API server allows neither as a name.
    if text in ("", ".", ".."):
        raise BadInput(f"“{clip(text)}” is not a name a Kubernetes object can have.")
    return quote(text, safe="")
