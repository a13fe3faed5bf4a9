"""Reading one YAML mapping from a stranger: bounded in size, depth and time, plain values only.

YAML lets a few hundred bytes grow into gigabytes (aliases), name Python classes (tags) and nest without end. Steps:

1. refuse by size before anything is decoded;
2. walk libyaml's *events*, which build nothing, and refuse aliases, a second document and deep nesting;
3. only then construct, with the safe loader, refusing a key that is given twice (readers differ on which one counts).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import yaml

from console.lib.errors import BadInput, clip

DEEPEST = 16


class _Loader(yaml.CSafeLoader):
    """The safe loader, refusing duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.YAMLError(f"the field {clip(twice, 60)} is given twice in one place")
        return super().construct_mapping(node, deep)


def read_mapping(text: str | bytes, *, what: str, field: str, largest: int) -> dict[Any, Any]:
    """The mapping that `text` holds. `what` names the thing in messages ("kubeconfig"); `largest` is in bytes.

    Raises: BadInput with `field`.
    """
    source = _decoded(text, what, field, largest)
    try:
        _check_shape(yaml.parse(source, Loader=yaml.CSafeLoader), what, field)
        document = yaml.load(source, Loader=_Loader)  # noqa: S506 - _Loader is a safe loader
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise BadInput(
            f"The {what} is not valid YAML: {_problem(error)}.", field=field, remedy="Paste the file as it is."
        ) from error
    if not isinstance(document, dict):
        raise BadInput(
            f"This is not a {what}: it holds no fields.", field=field, remedy="Paste the whole file, not a part of it."
        )
    return document


def _decoded(text: str | bytes, what: str, field: str, largest: int) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > largest:
        raise BadInput(
            f"The {what} is {size / 2**20:.1f} MiB; at most {largest / 2**20:g} MiB is accepted.",
            field=field,
            remedy="Export only the context that is needed: kubectl config view --minify --flatten --raw.",
        )
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-16" if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"The {what} is not text.", field=field, remedy="Upload the YAML file itself.") from error


def _check_shape(events: Iterator[Any], what: str, field: str) -> None:
    depth = documents = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"The {what} uses YAML aliases (*name), which are not accepted.", field=field)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if documents > 1:
            raise BadInput(f"There is more than one document in the {what}.", field=field, remedy="Paste one.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise BadInput(f"The {what} is nested more than {DEEPEST} levels deep.", field=field)


def _problem(error: Exception) -> str:
    """Where and what, but never the line itself: a snippet of a kubeconfig is a snippet of a credential."""
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}" if mark is not None else ""
    if isinstance(error, yaml.MarkedYAMLError):
        if isinstance(error, yaml.constructor.ConstructorError):
            return f"a value has a type that is not accepted{where}"
        return f"it cannot be read{where}"
    if type(error) is yaml.YAMLError:
        return str(error)
    return "a character or number in it cannot be read"
