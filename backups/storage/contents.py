"""What a backup holds: Velero's own list of it, and the tarball, read as a stream.

Both come out of a bucket, where others may write. So nothing in them decides how much of our memory is taken: not what
a byte unfolds to, not how long a header says that it is, not how many there are. Names in the tarball are text that is
compared, never a path: nothing is unpacked anywhere. Python's own `tarfile` reads extended headers of any length into
memory and keeps every member, hence only its reading of one header block is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from backups.storage.reading import gzip_pieces
from backups.storage.store import Body
from backups.storage.tar import LARGEST_OBJECT, Member, members
from backups.storage.trouble import Kind, StoreError, Trouble

LARGEST_RESOURCE_LIST = 256 * 1024 * 1024  # unpacked, as everything here
LARGEST_TARBALL = 4 * 1024 * 1024 * 1024
LONGEST_ENTRY = 4 * 1024
_TOKEN = re.compile(rb'\s*(?:("(?:[^"\\]|\\.)*")|([{}\[\],:])|(null))', re.DOTALL)
# pkg/archive/filesystem.go, GetVersionedItemFilePath: each object lies there without a version, and with each it has.
_PATH = re.compile(r"resources/([^/]+)/(?:(v\d[^/]*)/)?(?:namespaces/([^/]+)|cluster)/(.+)\.json", re.DOTALL)


class Item(NamedTuple):
    """One object of a backup. `kind` is `apps/v1/Deployment`, or `deployments.apps` where only the tarball says it;
    `namespace` is empty for what belongs to none."""

    kind: str
    namespace: str
    name: str


def listed_items(body: Body) -> Iterator[Item]:
    """What a `…-resource-list.json.gz` names, as it is read. Raises StoreError (damaged, too large).

    It is a map of lists (pkg/backup/request.go, BackupResourceList): {"apps/v1/Deployment": ["shop/web"], …}.
    """
    kind, inside, token = "", False, b""
    for number, token in enumerate(_tokens(gzip_pieces(body, LARGEST_RESOURCE_LIST))):
        if (number == 0) != (token == b"{") or (token == b"[" and inside):
            raise _damaged()
        if token.startswith(b'"') and inside:
            yield Item(kind, *_namespace_and_name(_text(token)))
        elif token.startswith(b'"'):
            kind = _text(token)
        inside = token == b"[" or (inside and token != b"]")
    if token != b"}":
        raise _damaged()


def archived_items(body: Body) -> Iterator[Item]:
    """The same from the names in a backup's tarball, for want of a list. Raises StoreError."""
    for member in members(gzip_pieces(body, LARGEST_TARBALL)):
        found = _PATH.fullmatch(member.name)
        if found and not found[2]:
            yield Item(found[1], found[3] or "", found[4])


def find_object(body: Body, item: Item) -> dict[str, Any] | None:
    """One object out of a backup's tarball; None when it is not there. Raises StoreError (damaged, too large)."""
    too_large = False
    for member in members(gzip_pieces(body, LARGEST_TARBALL)):
        found = _PATH.fullmatch(member.name)
        if found and (found[3] or "", found[4]) == (item.namespace, item.name) and _may_be(found[1], item.kind):
            too_large = too_large or member.size > LARGEST_OBJECT
            if member.size <= LARGEST_OBJECT and (one := _object(member, found[1], item.kind)):
                return one
    if too_large:
        raise StoreError(Trouble(Kind.TOO_LARGE, detail=f"more than {LARGEST_OBJECT // 1024} KiB"))
    return None


def _namespace_and_name(entry: str) -> tuple[str, str]:
    namespace, slash, name = entry.partition("/")
    return (namespace, name) if slash else ("", entry)


def _may_be(resource: str, kind: str) -> bool:
    """Whether objects of this kind may lie in the folder of this resource: `deployments.apps`, `pods`."""
    if "/" not in kind:
        return resource == kind
    group = kind.rsplit("/", 2)[-3] if kind.count("/") > 1 else ""
    return resource.partition(".")[2] == group


def _object(member: Member, resource: str, kind: str) -> dict[str, Any] | None:
    """None where it is of another kind, or of another version."""
    try:
        found = json.loads(member.read())
    except (ValueError, RecursionError) as error:
        raise _damaged() from error
    if not isinstance(found, dict):
        raise _damaged()
    said = f"{found.get('apiVersion')}/{found.get('kind')}"
    return found if kind in (said, resource) else None


def _tokens(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Of JSON that has neither numbers nor truth values."""
    rest = b""
    for piece in pieces:
        rest, at = rest + piece, 0
        while found := _TOKEN.match(rest, at):
            yield found[1] or found[2] or found[3]
            at = found.end()
        rest = rest[at:].lstrip()
        if len(rest) > LONGEST_ENTRY:
            raise _damaged()
    if rest:
        raise _damaged()


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> StoreError:
    return StoreError(Trouble(Kind.DAMAGED))
