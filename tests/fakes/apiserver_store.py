"""The objects of one simulated cluster, with resourceVersions, uids, finalizers and a history for watches.

Objects are kept as JSON bytes: a list is a join, and a thousand clusters fit into one process. Everything is guarded by
one lock per cluster, so tests may write from their own thread while the server answers.
"""

from __future__ import annotations

import base64
import copy
import json
import secrets
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.fakes import apiserver_rules as rules
from tests.fakes.apiserver_rules import Resource
from tests.fakes.apiserver_selectors import Selector

Object = dict[str, Any]
Key = tuple[str, str]
KEPT_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object."""

    body: bytes
    version: int
    uid: str
    namespace: str
    name: str
    labels: dict[str, str]

    def parsed(self) -> Object:
        body: Object = json.loads(self.body)
        return body


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the history. `before` is None for a new object, `after` the last version for a deleted one."""

    type: str
    resource: Resource
    version: int
    before: Stored | None
    after: Stored


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    items: list[Stored]
    version: int
    token: str
    remaining: int | None


class Store:
    """All objects of one cluster."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._objects: dict[Resource, dict[Key, Stored]] = {}
        self._sorted: dict[Resource, list[Key]] = {}
        self._applied: dict[tuple[Resource, Key, str], Object] = {}
        self._history: deque[Change] = deque()
        self._version = 1
        self._oldest = 1
        self._listeners: list[Callable[[Change], None]] = []

    # --- reading ---

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """One object. Raises: Refusal (404)."""
        with self.lock:
            found = self._objects.get(resource, {}).get((namespace, name))
            if found is None:
                raise rules.not_found(resource, name)
            return found

    def all(self, resource: Resource, namespace: str = "") -> list[Stored]:
        """Every object of a kind, in etcd's order."""
        with self.lock:
            return list(self._after(resource, namespace, ("", "")))

    def page(self, resource: Resource, namespace: str, selector: Selector, limit: int, token: str) -> Page:
        """Objects in etcd's order, `limit` of them (0: all), from `token` on. Raises: Refusal (400, 410)."""
        with self.lock:
            start, version = _read_token(token) if token else (("", ""), self._version)
            if version < self._oldest:
                raise rules.Refusal(410, "Expired", "The provided continue parameter is too old to display a list.")
            chosen = [item for item in self._after(resource, namespace, start) if selector.matches(item)]
            if not limit or len(chosen) <= limit:
                return Page(chosen, version, "", None)
            last = chosen[limit - 1]
            following = _make_token((last.namespace, last.name), version)
            return Page(chosen[:limit], version, following, len(chosen) - limit)

    def changes_after(self, version: int) -> list[Change]:
        """The history after `version`. Raises: Refusal (410) when it no longer reaches back that far."""
        with self.lock:
            if version < self._oldest:
                raise rules.too_old(version, self._oldest)
            return [change for change in self._history if change.version > version]

    @property
    def version(self) -> int:
        return self._version

    # --- writing ---

    def create(self, resource: Resource, namespace: str, body: Object) -> Stored:
        """As POST does. Raises: Refusal (404 namespace, 409, 422)."""
        with self.lock:
            metadata = body.setdefault("metadata", {})
            if metadata.get("generateName") and not metadata.get("name"):
                metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
            rules.check(resource, body)
            name = metadata["name"]
            if resource.namespaced and not self._has_namespace(namespace):
                raise rules.not_found(rules.all_resources()["", "v1", "namespaces"], namespace)
            if (namespace, name) in self._objects.get(resource, {}):
                raise rules.already_exists(resource, name)
            return self._insert(resource, namespace, body)

    def merge_patch(self, resource: Resource, namespace: str, name: str, patch: Object) -> Stored:
        """RFC 7396. Raises: Refusal (404, 409 on another resourceVersion, 422)."""
        with self.lock:
            before = self.get(resource, namespace, name)
            wanted = (patch.get("metadata") or {}).get("resourceVersion")
            if wanted is not None and str(wanted) != str(before.version):
                raise rules.modified(resource, name)
            body = merged(before.parsed(), patch)
            rules.check(resource, body)
            return self._update(resource, before, body)

    def apply(self, resource: Resource, namespace: str, name: str, body: Object, manager: str) -> tuple[Stored, bool]:
        """Server-side apply, forced: what this manager applied before and leaves out now is removed."""
        with self.lock:
            body.setdefault("metadata", {}).setdefault("name", name)
            rules.check(resource, copy.deepcopy(body), strict=True)
            slot = (resource, (namespace, name), manager)
            earlier, self._applied[slot] = self._applied.get(slot, {}), copy.deepcopy(body)
            before = self._objects.get(resource, {}).get((namespace, name))
            if before is None:
                return self.create(resource, namespace, body), True
            live = before.parsed()
            _remove_dropped(live, earlier, body)
            return self._update(resource, before, merged(live, body)), False

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> Stored | None:
        """The object if it stays for its finalizers, None if it is gone. Raises: Refusal (404, 409)."""
        with self.lock:
            before = self.get(resource, namespace, name)
            if uid is not None and uid != before.uid:
                raise rules.other_uid(resource, name, uid, before.uid)
            body = before.parsed()
            if body["metadata"].get("finalizers"):
                body["metadata"].setdefault("deletionTimestamp", now())
                body["metadata"].setdefault("deletionGracePeriodSeconds", 0)
                return self._update(resource, before, body)
            self._remove(resource, before)
            if resource.plural == "namespaces":
                self._empty_namespace(name)
            return None

    def put(self, resource: Resource, namespace: str, body: Object) -> Stored:
        """Store whatever a test wants to be there, unchecked: odd phases, missing status, foreign versions."""
        with self.lock:
            key = (namespace, body["metadata"]["name"])
            before = self._objects.get(resource, {}).get(key)
            if before is None:
                return self._insert(resource, namespace, body)
            kept = {field: before.parsed()["metadata"].get(field) for field in ("uid", "creationTimestamp")}
            body["metadata"] = kept | body["metadata"]
            return self._update(resource, before, body)

    def compact(self) -> None:
        """Forget the history, as etcd does after five minutes: older versions and list tokens answer 410."""
        with self.lock:
            self._version += 1
            self._oldest = self._version
            self._history.clear()

    # --- watching ---

    def listen(self, listener: Callable[[Change], None]) -> None:
        with self.lock:
            self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Change], None]) -> None:
        with self.lock:
            self._listeners.remove(listener)

    # --- inside ---

    def _has_namespace(self, name: str) -> bool:
        return ("", name) in self._objects.get(rules.all_resources()["", "v1", "namespaces"], {})

    def _after(self, resource: Resource, namespace: str, start: Key) -> Iterable[Stored]:
        objects = self._objects.get(resource, {})
        keys = self._sorted.get(resource)
        if keys is None:
            keys = self._sorted[resource] = sorted(objects)
        return (objects[key] for key in keys if key > start and (not namespace or key[0] == namespace))

    def _insert(self, resource: Resource, namespace: str, body: Object) -> Stored:
        metadata = body["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", now())
        metadata["generation"] = 1
        if resource.namespaced:
            metadata["namespace"] = namespace
        if resource.plural == "namespaces":
            metadata["labels"] = {"kubernetes.io/metadata.name": metadata["name"]} | (metadata.get("labels") or {})
            body.setdefault("spec", {"finalizers": ["kubernetes"]})
            body.setdefault("status", {"phase": "Active"})
        body["apiVersion"], body["kind"] = resource.api_version, resource.kind
        self._sorted.pop(resource, None)
        return self._record("ADDED", resource, namespace, None, body)

    def _update(self, resource: Resource, before: Stored, body: Object) -> Stored:
        old = before.parsed()
        metadata = body["metadata"]
        metadata["uid"], metadata["namespace"], metadata["name"] = before.uid, before.namespace, before.name
        if not resource.namespaced:
            del metadata["namespace"]
        metadata["resourceVersion"] = str(before.version)
        if body == old:
            return before
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return self._remove(resource, before)
        if {**body, "metadata": None} != {**old, "metadata": None}:
            metadata["generation"] = old["metadata"].get("generation", 1) + 1
        return self._record("MODIFIED", resource, before.namespace, before, body)

    def _remove(self, resource: Resource, before: Stored) -> Stored:
        stored = self._record("DELETED", resource, before.namespace, before, before.parsed())
        del self._objects[resource][before.namespace, before.name]
        self._sorted.pop(resource, None)
        return stored

    def _empty_namespace(self, name: str) -> None:
        for resource, objects in list(self._objects.items()):
            for stored in [stored for key, stored in objects.items() if key[0] == name]:
                self._remove(resource, stored)

    def _record(self, kind: str, resource: Resource, namespace: str, before: Stored | None, body: Object) -> Stored:
        self._version += 1
        metadata = body["metadata"]
        metadata["resourceVersion"] = str(self._version)
        stored = Stored(
            json.dumps(body, separators=(",", ":")).encode(),
            self._version,
            metadata["uid"],
            namespace if resource.namespaced else "",
            metadata["name"],
            metadata.get("labels") or {},
        )
        self._objects.setdefault(resource, {})[stored.namespace, stored.name] = stored
        change = Change(kind, resource, self._version, before, stored)
        self._history.append(change)
        while len(self._history) > KEPT_EVENTS:
            self._oldest = self._history.popleft().version
        for listener in self._listeners:
            listener(change)
        return stored


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _remove_dropped(live: Object, earlier: Object, current: Object) -> None:
    for key, value in earlier.items():
        if key not in current:
            live.pop(key, None)
        elif isinstance(value, dict) and isinstance(current[key], dict) and isinstance(live.get(key), dict):
            _remove_dropped(live[key], value, current[key])


def _make_token(key: Key, version: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *key]).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[Key, int]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError as error:
        raise rules.bad_request("invalid continue token: continue key is not valid") from error
    return (namespace, name), version
