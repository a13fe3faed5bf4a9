"""The files in a tarball one after the other, in little memory whatever its headers say; for contents.py."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from backups.storage.trouble import Kind, StoreError, Trouble

LARGEST_OBJECT = 2 * 1024 * 1024  # etcd takes 1.5 MiB, in a denser form
LARGEST_HEADER = 4 * 1024  # an extended one holds a name, which has 320 characters at most
MOST_MEMBERS = 2_000_000
_BLOCK = tarfile.BLOCKSIZE
_SKIPPED = 64 * 1024


class _Stream:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, bytearray()

    def read(self, amount: int) -> bytes:
        """So many bytes; fewer at the end."""
        while len(self._rest) < amount and (piece := next(self._pieces, b"")):
            self._rest += piece
        taken = bytes(self._rest[:amount])
        del self._rest[:amount]
        return taken

    def exactly(self, amount: int) -> bytes:
        """Raises StoreError where there are fewer."""
        if len(taken := self.read(amount)) < amount:
            raise _damaged()
        return taken

    def skip(self, amount: int) -> None:
        for start in range(0, amount, _SKIPPED):
            self.exactly(min(_SKIPPED, amount - start))


@dataclass
class Member:
    """A regular file. `name` is text from outside, `size` in bytes; it can be read until the next one is asked for."""

    name: str
    size: int
    stream: _Stream
    left: int

    def read(self) -> bytes:
        """All of it. Raises StoreError where that is more than an object can be, or is not there."""
        if self.size > LARGEST_OBJECT or self.left < self.size:
            raise _damaged()
        self.left -= self.size
        return self.stream.exactly(self.size)


def members(pieces: Iterator[bytes]) -> Iterator[Member]:
    """The regular files of an unpacked tarball.

    1. A block of zeros ends it, as does the end of what there is.
    2. A header of kind `x` (POSIX) or `L` (GNU) speaks of the file behind it: where its name, or its size, has no room.
    3. Whatever else is no regular file is passed over.

    Raises StoreError: damaged.
    """
    stream, said = _Stream(pieces), dict[str, str]()
    for _ in range(MOST_MEMBERS):
        if not (block := stream.read(_BLOCK)).strip(b"\0"):
            return
        header = _header(block)
        if header.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            said |= _extended(stream, header)
            continue
        member = Member(said.get("path", header.name), _size(said, header), stream, 0)
        member.left = padded(member.size) if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES else 0
        if header.isreg():
            yield member
        stream.skip(member.left)
        said = {}
    raise StoreError(Trouble(Kind.TOO_LARGE, detail=f"more than {MOST_MEMBERS} files"))


def padded(size: int) -> int:
    """With what fills the last block."""
    return -(-size // _BLOCK) * _BLOCK


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise _damaged() from error
    if header.size < 0:
        raise _damaged()
    return header


def _size(said: dict[str, str], header: tarfile.TarInfo) -> int:
    size = said.get("size", "")
    return int(size) if size.isdecimal() and len(size) < 20 else header.size


def _extended(stream: _Stream, header: tarfile.TarInfo) -> dict[str, str]:
    if header.size > LARGEST_HEADER:
        raise _damaged()
    data = stream.exactly(padded(header.size))[: header.size]
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "replace")}
    return dict(_records(data))


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """`<length> <key>=<value>\\n`, again and again; the length counts itself."""
    at = 0
    while at < len(data):
        length = data[at : at + 6].partition(b" ")[0]
        end = at + int(length) if length.isdigit() else 0
        if not at + len(length) < end <= len(data):
            raise _damaged()
        key, _, value = data[at + len(length) + 1 : end - 1].partition(b"=")
        yield key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        at = end


def _damaged() -> StoreError:
    return StoreError(Trouble(Kind.DAMAGED))
