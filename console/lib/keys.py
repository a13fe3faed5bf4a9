"""The console's own keys on a one-machine installation: made at first start, kept in one file only its owner can read.

`SECRET_KEY` and `CONSOLE_KEYS` in the environment go before the file, so that larger installations keep them in their
own secret store. Losing `CONSOLE_KEYS` loses every stored credential: nothing else can decrypt them.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

FILE_NAME = "keys.json"


@dataclass(frozen=True)
class Keys:
    """`secret_key` signs sessions; `ring` encrypts stored credentials, comma-separated, newest first."""

    secret_key: str = field(repr=False)
    ring: str = field(repr=False)


def new_key() -> str:
    """A fresh 256-bit key, base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def load(directory: Path) -> Keys | None:
    """The keys in `directory`, or None where none were made yet."""
    try:
        found = json.loads((directory / FILE_NAME).read_text())
    except FileNotFoundError:
        return None
    return Keys(found["SECRET_KEY"], found["CONSOLE_KEYS"])


def ensure(directory: Path) -> bool:
    """Make the keys unless they are there; True when they were made now. Two starts at once make one pair."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = directory / f"{FILE_NAME}.{secrets.token_hex(4)}"
    content = json.dumps({"SECRET_KEY": secrets.token_urlsafe(50), "CONSOLE_KEYS": new_key()})
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    try:
        os.link(draft, directory / FILE_NAME)  # fails when the file exists: a key is never replaced
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
