"""Reading stays inside its bounds whatever lies in the bucket, and nothing of this process's own identity gets out."""

from __future__ import annotations

import gzip
import io
import json
import logging
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.storage import (
    aws,
    backup_log_key,
    fetch_backup_object,
    fetch_pod_volume_backups,
    layout,
    read_object,
    reading,
    s3,
    size_below,
)
from backups.storage.sentences import console_error, sentences
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.errors import BadInput, ConsoleError, Missing, NotPermitted, Refused, SignInRefused, Unreachable
from tests.bodies import json_of, lines_of
from tests.unit.backups.storage.answers import LISTING, POLICY, Answer, error, served, target


class Bytes:
    """A Body out of memory that counts what was asked of it."""

    def __init__(self, data: bytes, piece: int = reading.CHUNK) -> None:
        self._file = io.BytesIO(data)
        self._piece = piece
        self.size: int | None = len(data)
        self.closed = False

    def read(self, amount: int) -> bytes:
        return self._file.read(min(amount, self._piece))

    def close(self) -> None:
        self.closed = True


def lines(data: bytes, most: int = 10**9, piece: int = reading.CHUNK) -> list[str]:
    return list(reading._lines(reading._at_most(reading._unpacked(Bytes(data, piece)), most)))


@settings(deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=50), max_size=20),
    piece=st.integers(1, 40),
)
def test_lines_come_back_whatever_the_pieces(texts: list[str], piece: int) -> None:
    data = gzip.compress("".join(f"{text}\n" for text in texts).encode())
    assert lines(data, piece=piece) == texts


def test_members_may_follow_each_other_and_the_last_line_needs_no_end() -> None:
    assert lines(gzip.compress(b"one\r\ntw") + gzip.compress(b"o\nthree")) == ["one", "two", "three"]
    assert lines(gzip.compress(b"")) == []


@pytest.mark.parametrize("size", [reading.CHUNK - 1, reading.CHUNK, reading.CHUNK + 1, 3 * reading.CHUNK])
def test_no_byte_is_lost_at_the_edges_of_pieces(size: int) -> None:
    assert b"".join(reading._unpacked(Bytes(gzip.compress(b"x" * size)))) == b"x" * size


def test_a_long_line_comes_in_pieces_and_odd_bytes_are_replaced() -> None:
    found = lines(gzip.compress(b"a" * (reading.LONGEST_LINE * 2 + 5) + b"\n\xff\xfe"))
    assert [len(line) for line in found] == [reading.LONGEST_LINE, reading.LONGEST_LINE, 5, 2]
    assert found[-1] == "\ufffd\ufffd"


@pytest.mark.parametrize(
    "data",
    [b"plain text", gzip.compress(b"x" * 1000, mtime=0)[:-9], b"", b"\x1f\x8b\x08" + b"\x00" * 30],
    ids=["text", "cut off", "empty", "zeros"],
)
def test_what_is_not_gzip_is_damaged(data: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        lines(data)
    assert caught.value.trouble.kind is Kind.DAMAGED


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"\0" * 1024 * 1024) for _ in range(megabytes)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.slow
def test_a_bomb_takes_little_memory_and_ends_at_the_bound() -> None:
    packed = bomb(256)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        taken = 0
        with pytest.raises(StoreError) as caught:
            for line in reading._lines(reading._at_most(reading._unpacked(Bytes(packed)), 64 * 1024 * 1024)):
                taken += len(line)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert caught.value.trouble.kind is Kind.TOO_LARGE
    assert taken >= 63 * 1024 * 1024
    assert grown < 2 * 1024 * 1024


def stored(objects: dict[str, bytes]) -> Callable[[str, str], Answer]:
    def answer(method: str, path: str) -> Answer:
        key = path.partition("?")[0].removeprefix("/bucket/")
        return Answer(200, objects[key]) if key in objects else error(404, "NoSuchKey")

    return answer


def test_objects_logs_and_json_through_the_sdk() -> None:
    objects = {
        "p/plain": b"x" * 100,
        "p/backups/b/b-logs.gz": gzip.compress(b"one\ntwo\n"),
        "p/json.gz": gzip.compress(b'{"a": [1]}'),
        "p/odd.gz": gzip.compress(b"[" * 100_000),
    }
    with served(stored(objects)) as (url, _):
        where = target(url)
        assert read_object(where, "p/plain", POLICY, max_bytes=100) == b"x" * 100
        assert list(lines_of(where, backup_log_key("p", "b"), POLICY, max_bytes=1000)) == ["one", "two"]
        assert json_of(where, "p/json.gz", POLICY) == {"a": [1]}
        with pytest.raises(Refused, match="damaged"):
            json_of(where, "p/odd.gz", POLICY)
        with pytest.raises(Refused, match="larger than the console reads"):
            read_object(where, "p/plain", POLICY, max_bytes=99)
        with pytest.raises(Missing):
            read_object(where, "p/none", POLICY, max_bytes=1)
        got = []
        with pytest.raises(Refused, match="larger"):
            for line in lines_of(where, "p/backups/b/b-logs.gz", POLICY, max_bytes=5):
                got.append(line)
        assert got == ["one"]


def test_the_backup_object_must_be_the_one_asked_for() -> None:
    raw = {"kind": "Backup", "metadata": {"name": "b"}, "spec": {}, "status": {"phase": "Completed"}}
    volumes = [{"metadata": {"name": "v"}}, "odd"]
    objects = {
        "leaf/backups/b/velero-backup.json": json.dumps(raw).encode(),
        "leaf/backups/c/velero-backup.json": json.dumps(raw).encode(),
        "leaf/backups/d/velero-backup.json": b"[1]",
        "leaf/backups/b/b-podvolumebackups.json.gz": gzip.compress(json.dumps(volumes).encode()),
        "leaf/backups/c/c-podvolumebackups.json.gz": gzip.compress(b"null"),
    }
    with served(stored(objects)) as (url, _):
        where = target(url)
        assert fetch_backup_object(where, "leaf", "b", POLICY) == raw
        for name in ("c", "d"):
            with pytest.raises(Refused, match="damaged"):
                fetch_backup_object(where, "leaf", name, POLICY)
        with pytest.raises(Missing):
            fetch_backup_object(where, "leaf", "e", POLICY)
        assert fetch_pod_volume_backups(where, "/leaf/", "b", POLICY) == ({"metadata": {"name": "v"}},)
        assert fetch_pod_volume_backups(where, "leaf", "c", POLICY) == ()
        assert fetch_pod_volume_backups(where, "leaf", "none", POLICY) == ()


def test_the_layout_is_veleros() -> None:
    assert layout.backup_log_key("/p/q/", "b") == "p/q/backups/b/b-logs.gz"
    assert layout.backup_metadata_key("", "b") == "backups/b/velero-backup.json"
    assert layout.backup_contents_key("p", "b") == "p/backups/b/b.tar.gz"
    assert layout.backup_results_key("p", "b") == "p/backups/b/b-results.gz"
    assert layout.backup_resource_list_key("p", "b") == "p/backups/b/b-resource-list.json.gz"
    assert layout.backup_volumes_key("p", "b") == "p/backups/b/b-volumeinfo.json.gz"
    assert layout.pod_volume_backups_key("p", "b") == "p/backups/b/b-podvolumebackups.json.gz"
    assert layout.restore_log_key("p", "r") == "p/restores/r/restore-r-logs.gz"
    assert layout.restore_results_key("p", "r") == "p/restores/r/restore-r-results.gz"
    assert layout.restore_resource_list_key("p", "r") == "p/restores/r/restore-r-resource-list.json.gz"
    assert (layout.backup_folder("p", "b"), layout.restore_folder("p", "r")) == ("p/backups/b/", "p/restores/r/")


REFUSED = [
    (error(403, "InvalidAccessKeyId"), SignInRefused),
    (error(403, "AccessDenied"), NotPermitted),
    (error(404, "NoSuchBucket"), Missing),
    (error(418, "Teapot"), Refused),
]


@pytest.mark.parametrize(("answer", "expected"), REFUSED)
def test_only_our_errors_leave(answer: Answer, expected: type[ConsoleError]) -> None:
    with served(lambda method, path: answer) as (url, _), pytest.raises(expected) as caught:
        read_object(target(url), "k", POLICY, max_bytes=1)
    assert type(caught.value) is expected
    assert "SECRET-CANARY" not in caught.value.sentence()


def test_every_kind_has_a_sentence_and_an_error() -> None:
    where = target("http://minio.example:9000")
    for kind in Kind:
        trouble = Trouble(kind, detail="detail", action="s3:GetObject", region="eu-west-3", skew=-7300)
        cause, _remedy = sentences(trouble, where)
        assert cause
        assert "{" not in cause + _remedy
        assert isinstance(console_error(trouble, where), ConsoleError)
    assert isinstance(console_error(Trouble(Kind.TLS_EXPIRED), where), Unreachable)
    assert "2 hours" in sentences(Trouble(Kind.CLOCK, skew=-7300), where)[0]


def test_a_target_never_shows_its_keys() -> None:
    assert "SECRET-CANARY" not in repr(target("http://h"))
    assert "AKIATEST" not in repr(target("http://h"))


def test_missing_keys_are_refused_and_never_looked_up() -> None:
    with pytest.raises(BadInput):
        read_object(target("http://h", access_key="", secret_key=""), "k", POLICY, max_bytes=1)


@pytest.fixture
def hostile_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Everything by which an AWS SDK can be led elsewhere, and a listener that must stay lonely."""
    own = "[default]\naws_access_key_id=AKIAOWN\naws_secret_access_key=OWN\nregion=mars-1\n"
    for name in ("credentials", "config"):
        (tmp_path / name).write_text(own)
    with served(lambda method, path: Answer()) as (elsewhere, reached):
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAENV",
            "AWS_SECRET_ACCESS_KEY": "ENV",
            "AWS_SESSION_TOKEN": "ENV",
            "AWS_PROFILE": "no-such-profile",
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ENDPOINT_URL": elsewhere,
            "AWS_ENDPOINT_URL_S3": elsewhere,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": elsewhere,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": elsewhere,
            "AWS_CA_BUNDLE": str(tmp_path / "none.pem"),
            "AWS_DATA_PATH": str(tmp_path),
            "AWS_MAX_ATTEMPTS": "9",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "HTTP_PROXY": elsewhere,
            "http_proxy": elsewhere,
            "HTTPS_PROXY": elsewhere,
        }.items():
            monkeypatch.setenv(name, value)
        aws.sdk.cache_clear()  # made anew, under this environment
        yield reached
        aws.sdk.cache_clear()


def test_the_consoles_own_identity_is_never_used(hostile_environment: list[str]) -> None:
    with served(stored({"k": b"v"})) as (url, seen):
        assert read_object(target(url), "k", POLICY, max_bytes=10) == b"v"
    assert hostile_environment == []
    assert len(seen) == 1
    assert "Credential=AKIATEST/" in seen[0]
    assert "us-east-1/s3" in seen[0]


def test_without_url_the_endpoint_is_amazons_own(hostile_environment: list[str]) -> None:
    store = s3.S3Store(target("", region="eu-west-3", path_style=False), POLICY, attempts=1)
    assert store._client.meta.endpoint_url == "https://s3.eu-west-3.amazonaws.com"
    assert store._client.meta.config.request_checksum_calculation == "when_supported"
    store.close()


def test_no_key_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with served(stored({"k": b"v"})) as (url, _):
        read_object(target(url), "k", POLICY, max_bytes=10)
    assert "SECRET-CANARY" not in caplog.text


def test_the_sdk_is_loaded_at_the_first_call_only() -> None:
    code = (
        "import sys, backups.storage, backups.velero.backup;"
        "print(*(name in sys.modules for name in ('botocore', 'google.cloud', 'requests', 'django')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 4


def test_the_certificate_leaves_nothing_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.backups.storage.answers import certificate

    cert = certificate(tmp_path, authority=True)
    opened: list[Any] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(args[2], int) and args[2] & 0o3:
            opened.append(args[0])

    watching = True
    sys.addaudithook(watch)
    try:
        with served(stored({"k": b"v"}), cert.context) as (url, _):
            assert read_object(target(url, ca_pem=cert.pem), "k", POLICY, max_bytes=10) == b"v"
    finally:
        watching = False
    assert opened == []


def sized_page(keys: list[str], *, more: bool) -> Answer:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>700</Size></Contents>" for key in keys)
    body = LISTING.replace(">false<", f">{str(more).lower()}<").replace("</List", f"{contents}</List")
    return Answer(200, body.encode())


class TestSize:
    def test_all_pages_are_added_up(self) -> None:
        def answer(_: str, path: str) -> Answer:
            return (
                sized_page(["p/c"], more=False)
                if "start-after=p%2Fb" in path
                else sized_page(["p/a", "p/b"], more=True)
            )

        with served(answer) as (url, seen):
            assert size_below(target(url), "p/", POLICY) == 2100
        assert len(seen) == 2 and "prefix=p%2F" in seen[0]

    def test_nothing_there_is_nothing(self) -> None:
        with served(lambda *_: sized_page([], more=False)) as (url, _):
            assert size_below(target(url), "p/", POLICY) == 0

    def test_a_folder_without_end_is_given_up(self) -> None:
        with served(lambda *_: sized_page(["p/a"], more=True)) as (url, seen), pytest.raises(Refused, match="pages"):
            size_below(target(url), "p/", POLICY)
        assert len(seen) == reading.MOST_PAGES
