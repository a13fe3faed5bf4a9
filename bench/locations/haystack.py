"""Secrets looked for in bytes: as they are, in base64 at every alignment, quoted for URLs and JSON, in hexadecimal, and
in whatever is packed inside: gzip, zlib streams such as RQ's messages, tar archives, one in the other."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

SHORTEST = 12  # bytes; less would be found by accident
DEEPEST = 5
LARGEST = 256 * 2**20
_CHUNK = 64 * 1024
_GZIP, _ZLIB = b"\x1f\x8b\x08", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True)
class Find:
    """`what` lies in `where`, in this form."""

    what: str
    form: str
    where: str

    def __str__(self) -> str:
        return f"{self.what} ({self.form}) in {self.where}"


class Haystack:
    """Looks for `secrets`, by what they are. Raises ValueError for one that is too short."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        if short := [what for what, secret in secrets.items() if len(secret) < SHORTEST]:
            raise ValueError(f"too short to look for: {short}")
        self.secrets = secrets
        self._needles: dict[bytes, tuple[str, str]] = {}
        for what, secret in secrets.items():
            for form, needle in forms(secret):
                self._needles.setdefault(needle, (what, form))
        self._searched: Counter[str] = Counter()  # bytes, unpacked, by place

    def in_place(self, place: str, held: Iterable[tuple[str, bytes]]) -> list[Find]:
        """What is in anything there."""
        return [find for name, data in held for find in self.finds(name, data, place)]

    def mib(self, place: str) -> float:
        """How much there was to be searched, unpacked."""
        return self._searched[place] / 2**20

    def finds(self, where: str, data: bytes, place: str = "") -> list[Find]:
        """What is in there, each once."""
        found: dict[tuple[str, str], Find] = {}
        for inside, layer in layers(data):
            self._searched[place] += len(layer)
            for needle, (what, form) in self._needles.items():
                if needle in layer:
                    found.setdefault((what, form), Find(what, form, where + inside))
        return list(found.values())


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Every way it may be written. Of base64 only what does not depend on what stands before and behind."""
    yield "plain", secret
    yield "hexadecimal", secret.hex().encode()
    yield "hexadecimal", secret.hex().upper().encode()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        inner = encoded[4 if shift else 0 : len(encoded) - 4 if encoded.endswith(b"=") else None]
        yield "base64", inner
        yield "base64", inner.replace(b"+", b"-").replace(b"/", b"_")
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode()
        yield "URL-quoted", quote(text, safe="").encode()
        yield "URL-quoted", quote_plus(text).encode()
        yield "JSON", json.dumps(text)[1:-1].encode()
        yield "UTF-16", text.encode("utf-16-le")


def layers(data: bytes, inside: str = "", depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The bytes and what is packed in them, with where that was."""
    yield inside, data
    if depth == DEEPEST:
        return
    if data.startswith(_GZIP):
        yield from layers(_unpacked(data, 0, 31), f"{inside}!gz", depth + 1)
    elif data[257:262] == b"ustar":
        for name, member in _members(data):
            yield from layers(member, f"{inside}!{name}", depth + 1)
    else:
        for start in _starts(data):
            if stream := _unpacked(data, start, 31 if data.startswith(_GZIP, start) else 15):
                yield from layers(stream, f"{inside}@{start}", depth + 1)


def _starts(data: bytes) -> Iterator[int]:
    """Where a packed stream may begin."""
    for mark in (_GZIP, *_ZLIB):
        start = data.find(mark)
        while start >= 0:
            yield start
            start = data.find(mark, start + 1)


def _unpacked(data: bytes, start: int, window: int) -> bytes:
    """As much as can be unpacked from `start` on; bits on their own are none."""
    parts: list[bytes] = []
    packed, unpacker, size = memoryview(data), zlib.decompressobj(window), 0
    with contextlib.suppress(zlib.error):
        for at in range(start, len(data), _CHUNK):
            parts.append(unpacker.decompress(packed[at : at + _CHUNK]))
            size += len(parts[-1])
            if unpacker.eof or size > LARGEST:
                break
    return b"".join(parts) if size >= SHORTEST else b""


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield member.name, file.read(LARGEST)
