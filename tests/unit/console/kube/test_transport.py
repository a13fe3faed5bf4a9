"""The way to a server: what stands in it, and that no credential is left lying about."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.kube.connection import connect
from console.kube.kubeconfig import parse_kubeconfig
from console.kube.paths import core
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError, Refused, Unreachable
from tests.fakes.apiserver import ADMIN_TOKEN, Cluster, FakeApiServer, Fault, User
from tests.fakes.oddservers import RawServer, TlsServer, relay
from tests.fakes.pki import Authority
from tests.unit.console.kube.conftest import POLICY
from tests.unit.console.kube.test_connection import BACKUPS, LOST, backup, names


class TestUnreachable:
    def reach(self, cluster: Cluster, **changes: Any) -> Unreachable:
        access = replace(cluster.access(), **changes)
        with connect(access, POLICY, connect_timeout=0.2) as connection, pytest.raises(Unreachable) as raised:
            connection.create(BACKUPS, backup("new"))
        assert names(cluster) == []
        assert ADMIN_TOKEN not in raised.value.sentence()
        return raised.value

    def test_nobody_listens(self, cluster: Cluster) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert "refuses the connection" in self.reach(cluster, server=f"https://127.0.0.1:{port}").message

    def test_an_unknown_name(self, cluster: Cluster) -> None:
        assert "cannot be resolved" in self.reach(cluster, server="https://no-such-name.invalid").message

    def test_an_unknown_ca(self, cluster: Cluster) -> None:
        assert "not signed by a CA" in self.reach(cluster, ca_data=Authority("x").certificate).message

    def test_a_ca_of_the_same_name(self, cluster: Cluster) -> None:
        assert "not signed by a CA" in self.reach(cluster, ca_data=Authority("fake-api-ca").certificate).message

    def test_the_machine_s_own_cas(self, cluster: Cluster) -> None:
        assert "not signed by a CA" in self.reach(cluster, ca_data=None).message

    def test_another_name(self, cluster: Cluster) -> None:
        assert "another name" in self.reach(cluster, tls_server_name="other.example").message

    def test_another_address(self, cluster: Cluster) -> None:
        port = cluster.server.port
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            threading.Thread(target=relay, args=(listener, port), daemon=True).start()
            url = f"https://[::1]:{listener.getsockname()[1]}"
            assert "another name" in self.reach(cluster, server=url).message

    def test_no_tls(self, cluster: Cluster) -> None:
        with RawServer(b"{}") as url:
            assert "does not speak TLS" in self.reach(cluster, server=url.replace("http:", "https:")).message

    @pytest.mark.slow
    def test_silence_in_the_handshake(self, cluster: Cluster) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"https://127.0.0.1:{mute.getsockname()[1]}"
            assert "does not answer" in self.reach(cluster, server=url).message

    def test_closed_in_the_handshake(self, cluster: Cluster) -> None:
        with RawServer(whole=b"\x15\x03\x03\x00\x02\x02\x28") as url:
            assert "secure connection" in self.reach(cluster, server=url.replace("http:", "https:")).message

    def test_an_expired_server_certificate(self, cluster: Cluster) -> None:
        with TlsServer(Authority("old-ca"), days=-1) as (url, ca):
            assert "has expired" in self.reach(cluster, server=url, ca_data=ca).message

    def test_an_address_that_is_not_allowed(self, cluster: Cluster) -> None:
        with connect(cluster.access(), AddressPolicy()) as connection, pytest.raises(Refused):
            connection.create(BACKUPS, backup("new"))
        assert names(cluster) == []


class TestSecrets:
    def test_a_client_key_never_lies_in_a_file(
        self, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        pair = cluster.add_certificate_user(User("carol"))
        before = _descriptors()
        with connect(cluster.access(pair=pair), POLICY) as connection:
            connection.get(core("namespaces", None, "default"))
        del connection
        gc.collect()
        assert list(tmp_path.rglob("*")) == []
        assert _descriptors() <= before

    def test_no_error_and_no_text_form_shows_a_credential(self, cluster: Cluster, server: FakeApiServer) -> None:
        secret = "sup3r-s3cret-token"
        with connect(cluster.access(secret), POLICY, read_timeout=0.2) as connection:
            for fault in (None, *LOST.values(), Fault("expire"), Fault("hang")):
                if fault is not None:
                    server.add_faults(replace(fault))
                with pytest.raises(ConsoleError) as raised:
                    connection.create(BACKUPS, backup("new"))
                for link in chain(raised.value):
                    assert secret not in f"{link!r} {link}"
            assert secret not in repr(connection)

    def test_damaged_material_is_refused_before_connecting(self, cluster: Cluster) -> None:
        good = cluster.add_certificate_user(User("carol"))
        other = cluster.add_certificate_user(User("dave"))
        with pytest.raises(Refused, match="cannot be used"):
            connect(replace(cluster.access(pair=good), client_key=other.key), POLICY)
        with pytest.raises(Refused, match="cannot be used"):
            connect(replace(cluster.access(), ca_data=b"hello"), POLICY)


def _descriptors() -> set[str]:
    return {str(path) for path in Path("/proc/self/fd").iterdir()}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_pasted_kubeconfig_connects(cluster: Cluster) -> None:
    with connect(parse_kubeconfig(cluster.kubeconfig()), POLICY) as connection:
        assert connection.get("/version") == cluster.version


def test_a_server_below_a_path(cluster: Cluster) -> None:
    assert cluster.access().server.endswith("/east")
    with connect(cluster.access(), POLICY) as connection:
        assert connection.get(core("namespaces", None, "kube-system"))["metadata"]["uid"] == cluster.uid
