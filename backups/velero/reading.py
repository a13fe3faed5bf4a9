"""Reading of objects that anybody may have written, without ever failing: what is odd is noted and read as empty.

Text is made storable: PostgreSQL takes no NUL and UTF-8 no lone surrogate, JSON has both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from console.lib.errors import clip
from console.lib.text import storable

LARGEST_COUNT = 2**31 - 1
LONGEST_TEXT = 8_000
LONGEST_LIST = 1_000
MOST_ODDITIES = 20


class Fields:
    """One object's fields by dotted path. `oddities` are sentences about what could not be taken as it is."""

    def __init__(self, obj: object) -> None:
        self._obj = obj
        self._notes: list[str] = []
        if not isinstance(obj, dict):
            self._note("The object is not a JSON object.")

    @property
    def oddities(self) -> tuple[str, ...]:
        """What was odd, in the order it was met."""
        return tuple(self._notes)

    def text(self, path: str) -> str:
        """A string; empty when absent."""
        value = self._at(path)
        if value is None:
            return ""
        if isinstance(value, str):
            return _cut(value)
        self._note(f"{path} is not text.")
        return ""

    def number(self, path: str) -> int:
        """A count between 0 and 2³¹-1; 0 when absent."""
        value = self._at(path)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
            return value
        self._note(f"{path} is not a count.")
        return 0

    def flag(self, path: str) -> bool | None:
        """True, False, or None when absent (Velero's *auto*)."""
        value = self._at(path)
        if value is None or isinstance(value, bool):
            return value
        self._note(f"{path} is neither true nor false.")
        return None

    def moment(self, path: str) -> datetime | None:
        """An RFC 3339 time in UTC; None when absent or unreadable."""
        value = self._at(path)
        if value is None:
            return None
        parsed = read_moment(value)
        if parsed is None:
            self._note(f"{path} is not a time.")
        return parsed

    def strings(self, path: str) -> tuple[str, ...]:
        """A list's texts."""
        value = self._at(path)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._note(f"{path} is not a list.")
            return ()
        texts = tuple(_cut(item) for item in value[:LONGEST_LIST] if isinstance(item, str))
        if len(texts) != len(value):
            self._note(f"{path} holds something that is not text, or too much.")
        return texts

    def mapping(self, path: str) -> dict[str, str]:
        """A mapping of texts to texts, as labels and configurations are."""
        value = self._at(path)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._note(f"{path} is not a mapping.")
            return {}
        pairs = {_cut(k): _cut(v) for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}
        if len(pairs) != len(value):
            self._note(f"{path} holds something that is not text.")
        return pairs

    def raw(self, path: str) -> dict[str, Any]:
        """A mapping of whatever, as it is; empty when absent."""
        value = self._at(path)
        return value if isinstance(value, dict) else {}

    def _at(self, path: str) -> Any:
        current: Any = self._obj
        for step in path.split("."):
            if not isinstance(current, dict):
                return None
            current = current.get(step)
            if current is not None and step in ("metadata", "spec", "status") and not isinstance(current, dict):
                self._note(f"{step} is not a JSON object.")
        return current

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes and len(self._notes) < MOST_ODDITIES:
            self._notes.append(sentence)


def read_moment(value: object) -> datetime | None:
    """An RFC 3339 time as UTC; a time without zone is taken as UTC; None for anything else."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _cut(text: str) -> str:
    """`text` such as a row can hold, cut to a length it can bear."""
    return storable(text[:LONGEST_TEXT])


def shown(text: str) -> str:
    """Foreign text for a message."""
    return clip(text)
