"""An object of a backup as YAML for a page, the values of Secrets hidden unless they are asked for.

A Secret's values are in more places than `data`: what applies manifests keeps a copy in an annotation.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from console.lib.text import storable

HIDDEN = "(hidden)"
VALUES = ("data", "stringData")
COPIES = (  # of the whole object, by those who applied it
    "kubectl.kubernetes.io/last-applied-configuration",
    "kapp.k14s.io/original",  # carvel-kapp docs, "Resource annotations"
    "objectset.rio.cattle.io/applied",  # rancher/wrangler pkg/apply: gzip of it, base64
)
WIDEST = 1 << 20  # no line is broken


class _Dumper(yaml.CSafeDumper):
    """Texts of several lines as such, the way `kubectl` writes them."""


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def is_secret(obj: dict[str, Any], kind: str) -> bool:
    """Whether it is a Secret by what it says of itself, or by what it was listed as."""
    return str(obj.get("kind")).lower() == "secret" or kind in ("v1/Secret", "secrets")


def without_values(obj: dict[str, Any]) -> dict[str, Any]:
    """A Secret with a mark in place of each value; the names of its keys stay."""
    hidden = {name: _masked(value) if name in VALUES else value for name, value in obj.items()}
    meta = obj.get("metadata")
    if isinstance(meta, dict) and "annotations" in meta:
        hidden["metadata"] = meta | {"annotations": _without_copies(meta["annotations"])}
    return hidden


def _masked(value: Any) -> Any:
    return dict.fromkeys(value, HIDDEN) if isinstance(value, dict) else HIDDEN


def _without_copies(annotations: Any) -> Any:
    if not isinstance(annotations, dict):
        return HIDDEN
    return {name: HIDDEN if name in COPIES else value for name, value in annotations.items()}


def nodes_of(obj: Any) -> int:
    """How many values there are in it, each list and map one of them."""
    waiting, count = [obj], 0
    while waiting:
        one = waiting.pop()
        count += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return count


def as_yaml(obj: dict[str, Any]) -> str:
    """Without `managedFields`, as `kubectl get` shows it. Raises RecursionError."""
    meta = obj.get("metadata")
    if isinstance(meta, dict):
        obj = obj | {"metadata": {name: value for name, value in meta.items() if name != "managedFields"}}
    sound = json.loads(storable(json.dumps(obj, ensure_ascii=False)))
    return str(yaml.dump(sound, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDEST))
