"""Reading Velero's objects from the bucket, bounded: whoever may write there must not be able to fill our memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backups.storage import layout
from backups.storage.store import Body, kept
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy
from console.lib.errors import Refused

CHUNK = 64 * 1024
LONGEST_LINE = 16 * 1024
MOST_PAGES = 20
LARGEST_METADATA = 3 * 512 * 1024  # etcd takes no larger object
LARGEST_LIST = 32 * 1024 * 1024
_GZIP = 31  # zlib's window bits for a gzip stream


def read_object(target: StorageTarget, key: str, policy: AddressPolicy, *, max_bytes: int) -> bytes:
    """The object as it lies in the bucket.

    Raises: Missing (no such object), Refused (larger than `max_bytes`), what storage raises.
    """
    with open_object(target, key, policy) as body:
        if (body.size or 0) > max_bytes:
            raise _too_large(max_bytes)
        return b"".join(_at_most(_chunks(body), max_bytes))


def fetch_backup_object(target: StorageTarget, leaf_prefix: str, name: str, policy: AddressPolicy) -> dict[str, Any]:
    """The Backup object as Velero stored it (`velero-backup.json`, plain JSON).

    Raises: Missing, Refused (not a Backup of that name), what storage raises.
    """
    key = layout.backup_metadata_key(leaf_prefix, name)
    with kept(target, policy) as store:
        body = store.get(key)
        try:
            found = _json(b"".join(_at_most(_chunks(body), LARGEST_METADATA)))
        finally:
            body.close()
        meta = found.get("metadata") if isinstance(found, dict) else None
        if not isinstance(meta, dict) or meta.get("name") != name:
            raise StoreError(Trouble(Kind.DAMAGED))
        return dict(found)


def fetch_pod_volume_backups(
    target: StorageTarget, leaf_prefix: str, name: str, policy: AddressPolicy
) -> tuple[dict[str, Any], ...]:
    """The PodVolumeBackups Velero stored beside a backup; none when it stored no such list.

    Raises: Refused (damaged), what storage raises.
    """
    key = layout.pod_volume_backups_key(leaf_prefix, name)
    with kept(target, policy) as store:
        try:
            body = store.get(key)
        except StoreError as error:
            if error.trouble.kind is Kind.NO_OBJECT:
                return ()
            raise
        try:
            found = _json(b"".join(_at_most(_unpacked(body), LARGEST_LIST)))
        finally:
            body.close()
    return tuple(item for item in found or () if isinstance(item, dict)) if isinstance(found, list | None) else ()


def anything_below(target: StorageTarget, prefix: str, policy: AddressPolicy) -> bool:
    """Whether an object lies below `prefix` (a folder of `layout.py`): a backup is deleted only when none does."""
    with kept(target, policy) as store:
        return bool(store.list(prefix, limit=1).keys)


def size_below(target: StorageTarget, prefix: str, policy: AddressPolicy) -> int:
    """Bytes of all objects below `prefix`. Raises: Refused (more than `MOST_PAGES` pages), what storage raises."""
    size, after = 0, ""
    with kept(target, policy) as store:
        for _ in range(MOST_PAGES):
            page = store.list(prefix, after=after)
            size += page.size
            if not page.more or not page.keys:
                return size
            after = page.keys[-1]
    raise Refused(f"More than {MOST_PAGES} pages of objects lie below {prefix}.")


@contextmanager
def open_object(target: StorageTarget, key: str, policy: AddressPolicy) -> Iterator[Body]:
    """The object's bytes, to be taken as they come. Raises: Missing, what storage raises; inside, too, of the body."""
    with kept(target, policy) as store:
        body = store.get(key)
        try:
            yield body
        finally:
            body.close()


def gzip_lines(body: Body, max_bytes: int) -> Iterator[str]:
    """The lines of a gzipped text, unpacked as they are taken; `max_bytes` counts unpacked bytes.

    Lines come without their end; one longer than 16 KiB comes in pieces; bytes that are not UTF-8 are replaced.

    Raises StoreError: damaged, or more than `max_bytes`, after the lines that fit. Inside `open_object` it is Refused.
    """
    yield from _lines(gzip_pieces(body, max_bytes))


def gzip_json(body: Body, max_bytes: int) -> Any:
    """A gzipped JSON document. Raises as `gzip_lines`."""
    return _json(b"".join(gzip_pieces(body, max_bytes)))


def gzip_pieces(body: Body, max_bytes: int) -> Iterator[bytes]:
    """What a gzipped object unpacks to, in pieces of at most `CHUNK` bytes. Raises StoreError."""
    return _at_most(_unpacked(body), max_bytes)


def _chunks(body: Body) -> Iterator[bytes]:
    while chunk := body.read(CHUNK):
        yield chunk


def _unpacked(body: Body) -> Iterator[bytes]:
    """Pieces of at most `CHUNK` bytes, however much one packed byte unfolds to; gzip members may follow each other."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        for chunk in _chunks(body):
            data, full = chunk, True
            while data or full:
                if unpacker.eof:
                    if not data:
                        break
                    unpacker = zlib.decompressobj(_GZIP)
                piece = unpacker.decompress(data, CHUNK)
                data, full = unpacker.unconsumed_tail or unpacker.unused_data, len(piece) == CHUNK
                if piece:
                    yield piece
    except zlib.error as error:
        raise StoreError(Trouble(Kind.DAMAGED)) from error
    if not unpacker.eof:
        raise StoreError(Trouble(Kind.DAMAGED))


def _at_most(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    left = most
    for piece in pieces:
        if len(piece) > left:
            yield piece[:left]
            raise _too_large(most)
        left -= len(piece)
        yield piece


def _too_large(most: int) -> StoreError:
    return StoreError(Trouble(Kind.TOO_LARGE, detail=f"more than {max(1, most // 1024)} KiB"))


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield from _cut(line)
        while len(rest) > LONGEST_LINE:
            yield _text(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
    if rest:
        yield _text(rest)


def _cut(line: bytes) -> Iterator[str]:
    yield from (_text(line[start : start + LONGEST_LINE]) for start in range(0, max(len(line), 1), LONGEST_LINE))


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(Trouble(Kind.DAMAGED)) from error
