"""An API server in a dictionary: names are unique, merge patches follow RFC 7386, 404 and 409 as the real one."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from console.lib.errors import AlreadyThere, Missing

Json = dict[str, Any]


class FakeApi:
    """`console.kube`'s connection without a cluster. `on_create` may play the controller."""

    def __init__(self, on_create: Callable[[FakeApi, str, Json], None] | None = None) -> None:
        self.objects: dict[str, Json] = {}
        self.calls: list[tuple[str, str]] = []
        self._serial = itertools.count(1)
        self._on_create = on_create

    def get(self, path: str, **params: Any) -> Json:
        self.calls.append(("get", path))
        if path not in self.objects:
            raise Missing(f"{path} is not there.")
        return copy.deepcopy(self.objects[path])

    def list(self, path: str, *, limit: int = 500, **params: Any) -> Iterator[Json]:
        wanted = dict(pair.split("=", 1) for pair in params.get("labelSelector", "").split(",") if pair)
        for key, obj in self.objects.items():
            labels = obj.get("metadata", {}).get("labels", {})
            if key.rpartition("/")[0] == path and wanted.items() <= labels.items():
                yield copy.deepcopy(obj)

    def create(self, path: str, body: Json) -> Json:
        self.calls.append(("create", path))
        stored = copy.deepcopy(body)
        meta = stored["metadata"]
        meta.setdefault("name", f"{meta.get('generateName', '')}{next(self._serial)}")
        key = f"{path}/{meta['name']}"
        if key in self.objects:
            raise AlreadyThere(f"{key} is there.")
        self.objects[key] = {**stored, "metadata": {**meta, "uid": f"uid-{next(self._serial)}"}}
        if self._on_create:
            self._on_create(self, key, self.objects[key])
        return copy.deepcopy(self.objects[key])

    def merge_patch(self, path: str, body: Json) -> Json:
        self.calls.append(("merge_patch", path))
        if path not in self.objects:
            raise Missing(f"{path} is not there.")
        self.objects[path] = merged(self.objects[path], body)
        return copy.deepcopy(self.objects[path])

    def delete(self, path: str, *, uid: str | None = None) -> None:
        self.calls.append(("delete", path))
        if self.objects.pop(path, None) is None:
            raise Missing(f"{path} is not there.")

    def count(self, verb: str) -> int:
        return sum(called == verb for called, _ in self.calls)


def merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
