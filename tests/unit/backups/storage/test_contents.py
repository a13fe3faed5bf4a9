"""What a backup holds, out of a bucket where anybody may have put anything."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from backups.storage import Item, archived_items, find_object, listed_items, tar
from backups.storage.trouble import Kind, StoreError
from tests.unit.backups.storage.test_reading import Bytes

LONG = "a" * 200 + "." + "b" * 52  # a name that needs an extended header
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}


def tarball(members: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> Bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=form) as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return Bytes(file.getvalue())


def stored(*objects: tuple[str, dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> Bytes:
    return tarball([(f"resources/{path}.json", json.dumps(one).encode()) for path, one in objects], form)


def test_velero_s_list_is_read_as_it_comes() -> None:
    document = {"apps/v1/Deployment": ["shop/web"], "v1/Namespace": ["shop"], "v1/Pod": None, "x/v1/<Odd>": ['a/"\\é']}
    body = Bytes(gzip.compress(json.dumps(document).encode()), piece=3)
    assert list(listed_items(body)) == [
        ("apps/v1/Deployment", "shop", "web"),
        ("v1/Namespace", "", "shop"),
        ("x/v1/<Odd>", "a", '"\\é'),
    ]
    assert list(listed_items(Bytes(gzip.compress(b"{}\n")))) == []


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'{"a": [["b"]]}', b'{"a": [1]}', b'{"a": ["b"', b'{"a": "\\x"}', b"{" * 9]
)
def test_a_list_that_is_none_is_damaged(text: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        list(listed_items(Bytes(gzip.compress(text))))
    assert caught.value.trouble.kind is Kind.DAMAGED


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_object_is_found_by_what_it_is(form: int) -> None:
    long = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": LONG}}
    body = stored(
        ("services/namespaces/shop/web", SERVICE),
        ("deployments.apps/namespaces/shop/web", WEB),
        ("deployments.apps/v1-preferredversion/namespaces/shop/web", WEB),
        (f"configmaps/namespaces/cluster/{LONG}", long),
        form=form,
    )
    data = body.read(10**6)
    for item, expected in (
        (Item("apps/v1/Deployment", "shop", "web"), WEB),
        (Item("v1/Service", "shop", "web"), SERVICE),
        (Item("services", "shop", "web"), SERVICE),
        (Item("v1/ConfigMap", "cluster", LONG), long),
        (Item("v1/ConfigMap", "", LONG), None),
        (Item("v1/Secret", "shop", "web"), None),
    ):
        assert find_object(Bytes(data), item) == expected
    assert list(archived_items(Bytes(data))) == [
        ("services", "shop", "web"),
        ("deployments.apps", "shop", "web"),
        ("configmaps", "cluster", LONG),
    ]


def test_names_are_text_and_lead_nowhere() -> None:
    """Nothing is opened by a member's name; an object is what its bytes say, wherever the name points."""
    odd = "../../../../etc/passwd"
    body = stored(
        (f"pods/namespaces/{odd}", {"apiVersion": "v1", "kind": "Pod"}),
        (f"../../pods/namespaces/shop/{odd}", {"apiVersion": "v1", "kind": "Pod"}),
    )
    data = body.read(10**6)
    assert list(archived_items(Bytes(data))) == [("pods", "..", "../../../etc/passwd")]
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as archive:
        header = tarfile.TarInfo("resources/pods/namespaces/shop/web.json")
        header.type, header.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(header)
    assert find_object(Bytes(link.getvalue()), Item("v1/Pod", "shop", "web")) is None


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    return made.tobuf(tarfile.GNU_FORMAT)


def packed(*parts: bytes, zeros: int = 0) -> Bytes:
    """Gzip of the parts and so many MiB of zeros; members of a gzip file may follow each other."""
    return Bytes(gzip.compress(b"".join(parts)) + gzip.compress(b"\0" * 2**20) * zeros)


BOMB = 1024  # MiB
POD = "resources/pods/namespaces/shop/web.json"
BOMBS = {
    "a file": header("elsewhere", BOMB << 20),
    "the object": header(POD, BOMB << 20),
    "a name": header("././@LongLink", BOMB << 20, tarfile.GNUTYPE_LONGNAME),
    "an extended header": header("x", BOMB << 20, tarfile.XHDTYPE),
    "a sparse file": header("x", BOMB << 20, tarfile.GNUTYPE_SPARSE),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_of_a_gibibyte_takes_little_memory(what: str) -> None:
    body = packed(BOMBS[what], zeros=BOMB)
    tracemalloc.start()
    try:
        with_error = False
        try:
            assert find_object(body, Item("v1/Pod", "shop", "web")) is None
        except StoreError:
            with_error = True
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown < 8 * 2**20
    assert with_error is (what in ("the object", "a name", "an extended header"))


def test_an_object_that_unfolds_in_memory_stays_in_its_bound() -> None:
    """Of all JSON of this length, empty lists take the most."""
    worst = b'{"apiVersion":"v1","kind":"Pod","x":[' + b"[]," * ((tar.LARGEST_OBJECT - 100) // 3) + b"[]]}"
    body = tarball([(POD, worst)])
    tracemalloc.start()
    try:
        assert find_object(body, Item("v1/Pod", "shop", "web"))
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tail",
    [
        b"x" * 512,
        header(POD, 5) + b"{",
        header("x", 9, tarfile.XHDTYPE) + b"999 a=b\n".ljust(512, b"\0"),
        header("x", 4, tarfile.XHDTYPE) + b"0 ab".ljust(512, b"\0"),
    ],
    ids=["no header", "cut off", "a record that is too long", "a record of no length"],
)
def test_a_damaged_tarball_is_said_to_be(tail: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        find_object(packed(tail), Item("v1/Pod", "shop", "web"))
    assert caught.value.trouble.kind is Kind.DAMAGED
