"""A Connection when things go wrong: which error, and whether anything happened on the other side."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from console.kube.connection import Connection, connect
from console.kube.errors import Expired
from console.kube.paths import custom
from console.lib.errors import (
    Busy,
    ConsoleError,
    Missing,
    Refused,
    TryLater,
    Unanswered,
    Unreachable,
)
from tests.fakes.apiserver import Cluster, Fault
from tests.fakes.oddservers import RawServer
from tests.unit.console.kube.conftest import POLICY

BACKUPS = custom("velero.io", "v1", "backups", "velero")


def backup(name: str) -> dict[str, Any]:
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name}, "spec": {}}


def names(cluster: Cluster) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.objects("backups")]


WRITES: dict[str, Callable[[Connection], object]] = {
    "create": lambda connection: connection.create(BACKUPS, backup("new")),
    "merge_patch": lambda connection: connection.merge_patch(f"{BACKUPS}/old", {"spec": {"ttl": "1h0m0s"}}),
    "apply": lambda connection: connection.apply(f"{BACKUPS}/new", backup("new")),
    "delete": lambda connection: connection.delete(f"{BACKUPS}/old"),
}
READS: dict[str, Callable[[Connection], object]] = {
    "get": lambda connection: connection.get(f"{BACKUPS}/old"),
    "list": lambda connection: list(connection.list(BACKUPS)),
    "ask": lambda connection: connection.ask(
        custom("authentication.k8s.io", "v1", "selfsubjectreviews"), {"kind": "SelfSubjectReview"}
    ),
}
LOST: dict[str, Fault] = {
    "reset before it was applied": Fault("reset_before"),
    "reset after it was applied": Fault("reset_after"),
    "an answer that is no JSON": Fault("garbage"),
    "500": Fault("status", status=500),
    "502": Fault("status", status=502),
    "504": Fault("status", status=504),
}


@pytest.fixture
def old(cluster: Cluster) -> Cluster:
    cluster.put("backups", {"metadata": {"name": "old", "namespace": "velero"}, "spec": {}})
    return cluster


class TestUnanswered:
    @pytest.mark.parametrize("fault", LOST)
    @pytest.mark.parametrize("write", WRITES)
    def test_a_write_without_answer_is_not_known(
        self, write: str, fault: str, old: Cluster, connection: Connection
    ) -> None:
        old.server.add_faults(replace(LOST[fault], cluster="east"))
        with pytest.raises(Unanswered, match="not known whether"):
            WRITES[write](connection)

    @pytest.mark.parametrize("fault", LOST)
    @pytest.mark.parametrize("read", READS)
    def test_a_read_without_answer_can_be_repeated(
        self, read: str, fault: str, old: Cluster, connection: Connection
    ) -> None:
        old.server.add_faults(replace(LOST[fault], cluster="east"))
        with pytest.raises(TryLater) as raised:
            READS[read](connection)
        assert not isinstance(raised.value, Unreachable)
        READS[read](connection)

    def test_it_says_nothing_about_what_happened(self, old: Cluster, connection: Connection) -> None:
        """The same error, once with and once without effect: only looking tells."""
        old.server.add_faults(Fault("reset_before", "POST"))
        with pytest.raises(Unanswered):
            connection.create(BACKUPS, backup("one"))
        assert "one" not in names(old)
        old.server.add_faults(Fault("reset_after", "POST"))
        with pytest.raises(Unanswered):
            connection.create(BACKUPS, backup("two"))
        assert "two" in names(old)

    def test_nothing_is_sent_twice(self, old: Cluster, connection: Connection) -> None:
        old.server.add_faults(Fault("reset_before", "POST"), Fault("reset_before", "GET"))
        for _ in range(2):
            with pytest.raises(ConsoleError):
                connection.create(BACKUPS, backup("new"))
                connection.get(f"{BACKUPS}/old")
        assert len(old.server.requests_to("east", ["POST"])) == 2

    @pytest.mark.slow
    def test_silence(self, old: Cluster) -> None:
        old.server.add_faults(Fault("hang", times=2, cluster="east"))
        with connect(old.access(), POLICY, read_timeout=0.2) as impatient:
            with pytest.raises(Unanswered, match="took too long"):
                impatient.create(BACKUPS, backup("new"))
            with pytest.raises(TryLater, match="took too long"):
                impatient.get(BACKUPS)

    def test_a_patient_reader_gets_a_late_answer(self, old: Cluster, connection: Connection) -> None:
        old.server.add_faults(Fault("delay", seconds=0.05))
        assert connection.get(f"{BACKUPS}/old")["metadata"]["name"] == "old"

    def test_a_dropped_idle_connection_is_replaced(self, old: Cluster, connection: Connection) -> None:
        connection.get(f"{BACKUPS}/old")
        old.server.drop_connections()
        assert connection.create(BACKUPS, backup("new"))["metadata"]["name"] == "new"


class TestBusy:
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("write", WRITES)
    def test_a_busy_server_says_for_how_long(
        self, write: str, status: int, old: Cluster, connection: Connection
    ) -> None:
        old.server.add_faults(Fault("status", status=status, headers={"Retry-After": "7"}))
        with pytest.raises(Busy) as raised:
            WRITES[write](connection)
        assert raised.value.retry_after == 7
        WRITES[write](connection)

    @pytest.mark.parametrize(
        ("header", "seconds"), [("99999999", 300), ("-5", 0), ("nan", 0), ("inf", 0), ("soon", 0), ("", 0)]
    )
    def test_odd_waits_are_bounded(self, header: str, seconds: float, old: Cluster, connection: Connection) -> None:
        old.server.add_faults(Fault("status", status=503, headers={"Retry-After": header}))
        with pytest.raises(Busy) as raised:
            connection.get(BACKUPS)
        assert raised.value.retry_after == seconds

    def test_a_date(self, old: Cluster, connection: Connection) -> None:
        old.server.add_faults(Fault("status", status=429, headers={"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}))
        with pytest.raises(Busy) as raised:
            connection.get(BACKUPS)
        assert raised.value.retry_after == 300


class TestLists:
    def fill(self, cluster: Cluster, count: int) -> list[str]:
        wanted = [f"b{number:02}" for number in range(count)]
        for name in wanted:
            cluster.put("backups", {"metadata": {"name": name, "namespace": "velero"}})
        return wanted

    def test_an_expired_token_starts_over_and_repeats_nothing(self, cluster: Cluster, connection: Connection) -> None:
        wanted = self.fill(cluster, 25)
        cluster.server.add_faults(Fault("expire", when=lambda request: "continue" in request.query, skip=1))
        given = [item["metadata"]["name"] for item in connection.list(BACKUPS, limit=10)]
        assert given == wanted

    def test_a_list_that_always_expires_ends(self, cluster: Cluster, connection: Connection) -> None:
        self.fill(cluster, 3)
        cluster.server.add_faults(Fault("expire", when=lambda request: "continue" in request.query, times=None))
        with pytest.raises(Expired):
            list(connection.list(BACKUPS, limit=1))
        assert len(cluster.server.requests_to("east")) == 8

    def test_one_connection_serves_them_all(self, cluster: Cluster, connection: Connection) -> None:
        self.fill(cluster, 20)
        opened: list[object] = []
        honest = socket.socket.connect

        def counting(sock: socket.socket, address: Any) -> None:
            opened.append(address)
            honest(sock, address)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", counting)
            assert len(list(connection.list(BACKUPS, limit=2))) == 20
        assert len(opened) == 1

    def test_items_that_are_none(self, cluster: Cluster, connection: Connection) -> None:
        empty = b'{"kind":"List","items":null,"metadata":{}}'
        with RawServer(empty) as url, connect(replace(cluster.access(), server=url), POLICY) as odd:
            assert odd.list_page(BACKUPS)["items"] == []


@pytest.fixture
def talk(cluster: Cluster) -> Callable[[str], Connection]:
    return lambda url: connect(replace(cluster.access(), server=url), POLICY, connect_timeout=1, read_timeout=1)


class TestOddServers:
    @pytest.mark.parametrize(
        "whole",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"[:-1],
            b"HTTP/1.1 banana\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500 + b"\r\n",
            b"",
        ],
    )
    def test_strange_answers_are_ours_to_name(self, whole: bytes, talk: Callable[[str], Connection]) -> None:
        with RawServer(whole=whole or b"\n") as url, talk(url) as connection:
            with pytest.raises(TryLater):
                connection.get("/x")
            with pytest.raises(Unanswered):
                connection.create("/x", {})

    def test_a_redirect_is_not_followed(self, talk: Callable[[str], Connection]) -> None:
        target = RawServer(b"{}")
        with target as elsewhere:
            whole = (
                f"HTTP/1.1 307 Go\r\nLocation: {elsewhere}/x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
            )
            with RawServer(whole=whole) as url, talk(url) as connection:
                with pytest.raises(Refused, match="another address"):
                    connection.get("/x")
                with pytest.raises(Refused, match="another address"):
                    connection.create("/x", {})
        assert target.connections == 0

    def test_an_error_page_of_a_proxy(self, talk: Callable[[str], Connection]) -> None:
        page = b"<html>" + b"x" * 200_000
        whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
        with RawServer(whole=whole) as url, talk(url) as connection, pytest.raises(Missing) as raised:
            connection.get("/x")
        assert len(raised.value.sentence()) < 600

    @pytest.mark.slow
    def test_an_endless_answer_is_cut(self, talk: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("console.kube.connection.LARGEST_ANSWER", 2**20)
        whole = b"HTTP/1.1 200 OK\r\n\r\n"
        with RawServer(whole=whole, endless=b"x" * 65536) as url, talk(url) as connection:
            with pytest.raises(Refused, match="larger than 1 MiB"):
                connection.get("/x")
            with pytest.raises(Unanswered):
                connection.create("/x", {})

    def test_the_environment_s_proxy_is_ignored(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        with RawServer(b"{}") as proxy:
            for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy)
            with connect(cluster.access(), POLICY) as connection:
                assert connection.get("/version")["major"] == "1"
