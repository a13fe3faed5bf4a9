"""Label and field selectors of list and watch requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from tests.fakes.apiserver_rules import bad_request

_TERM = re.compile(r"\s*(!?)\s*([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*)|(in|notin)\s*\(([^)]*)\))?\s*")
_FIELDS = ("metadata.name", "metadata.namespace")


class Selectable(Protocol):
    """What a selector looks at."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...


class Selector:
    """Both selectors of one request. Raises: Refusal (400) for what cannot be read."""

    def __init__(self, labels: str = "", fields: str = "") -> None:
        self._tests: list[Callable[[Selectable], bool]] = []
        for term in re.split(r",(?![^(]*\))", labels) if labels else []:
            self._tests.append(_label_test(term))
        for term in fields.split(",") if fields else []:
            self._tests.append(_field_test(term))

    def matches(self, item: Selectable) -> bool:
        return all(test(item) for test in self._tests)


def _label_test(term: str) -> Callable[[Selectable], bool]:
    found = _TERM.fullmatch(term)
    if found is None:
        raise bad_request(f"unable to parse requirement: found '{term[:1]}', expected: identifier")
    absent, key, operator, value, membership, values = found.groups()
    if operator in ("=", "=="):
        return lambda item: item.labels.get(key) == value
    if operator == "!=":
        return lambda item: item.labels.get(key) != value
    if membership:
        listed = {part.strip() for part in values.split(",")}
        wanted = membership == "in"
        return lambda item: (item.labels.get(key) in listed) == wanted
    return lambda item: (key in item.labels) != bool(absent)


def _field_test(term: str) -> Callable[[Selectable], bool]:
    field, operator, value = re.split(r"(!=|==|=)", term, maxsplit=1) if re.search("=", term) else (term, "", "")
    if field not in _FIELDS:
        raise bad_request(f"field label not supported: {field}")
    attribute = field.rpartition(".")[2]
    wanted = operator != "!="
    return lambda item: (getattr(item, attribute) == value) == wanted
