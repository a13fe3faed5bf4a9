"""Text from outside, made fit for rows."""

from __future__ import annotations


def storable(text: str) -> str:
    """`text` with a mark for what not every database holds: PostgreSQL takes no NUL, UTF-8 no half of a character."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
