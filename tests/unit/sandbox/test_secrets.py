"""Keys and certificates of a home: made once, for their owner only, never where others can read them."""

from __future__ import annotations

import json
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.build import Tools
from sandbox.cluster import ClusterStack
from sandbox.files import write_private
from sandbox.storage import PORTS, Storage, _new_certificates, remove_sockets

S3_PORTS = {name: 20000 + number for number, name in enumerate(PORTS)}


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The most careless setting: files are private because we say so, not because the caller was careful."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    made = Storage(tmp_path / "s3", tmp_path / "logs", S3_PORTS)
    made.prepare()
    return made


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterStack:
    ports = {name: 21000 + number for number, name in enumerate(ClusterStack.port_names("east"))}
    made = ClusterStack("east", tmp_path / "east", tmp_path / "logs", ports, Tools(tmp_path / "tools"))
    made.prepare()
    return made


def contents(home: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in home.iterdir() if file.is_file()}


def test_every_file_is_its_owner_s_only(storage: Storage, cluster: ClusterStack, tmp_path: Path) -> None:
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_second_start_changes_nothing(storage: Storage, cluster: ClusterStack) -> None:
    before = contents(storage.home), contents(cluster.home)
    storage.prepare()
    cluster.prepare()
    assert (contents(storage.home), contents(cluster.home)) == before


def test_every_home_has_keys_of_its_own(storage: Storage, tmp_path: Path) -> None:
    other = Storage(tmp_path / "other", tmp_path / "logs", S3_PORTS)
    other.prepare()
    mine, theirs = contents(storage.home), contents(other.home)
    assert all(mine[name] != theirs[name] for name in mine)


def test_s3_knows_the_key_that_the_credentials_file_names(storage: Storage) -> None:
    key, secret = storage.keys()
    (identity,) = json.loads((storage.home / "identities.json").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": key, "secretKey": secret}]


def test_no_secret_is_in_a_command_line_or_in_the_state(
    storage: Storage, cluster: ClusterStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = storage.keys()
    token = (cluster.home / "tokens.csv").read_text().partition(",")[0]
    programs = [storage.program(), cluster.etcd(), cluster.api_server(), cluster.controller_manager()]
    programs += [cluster.velero(), cluster.velero_install()]
    said = json.dumps([[*p.argv, *p.env.values()] for p in programs] + [storage.public(), cluster.public(1)])
    assert "velero-plugin-for-aws:v" in said  # something is there to look at
    assert not [word for word in (key, secret, token) if word in said]


def test_everything_listens_on_loopback_only(storage: Storage, cluster: ClusterStack) -> None:
    assert "-ip.bind=127.0.0.1" in storage.program().argv
    assert "--bind-address=127.0.0.1" in cluster.api_server().argv
    addresses = [word for word in cluster.etcd().argv + cluster.velero().argv if ":2100" in word]
    assert len(addresses) == 6
    assert all("//127.0.0.1:" in word or "=127.0.0.1:" in word for word in addresses)


def test_server_is_velero_s_first_argument(cluster: ClusterStack) -> None:
    assert cluster.velero().argv[1] == "server"


def test_each_velero_has_its_own_tmpdir(cluster: ClusterStack, tmp_path: Path) -> None:
    other = ClusterStack("west", tmp_path / "west", tmp_path / "logs", {"west/velero-metrics": 1}, cluster.tools)
    assert cluster.velero().env["TMPDIR"] != other.velero().env["TMPDIR"]


def test_the_kubeconfig_holds_the_token_and_the_authority_and_names_no_file(cluster: ClusterStack) -> None:
    (cluster.home / "certs").mkdir()
    (cluster.home / "certs" / "apiserver.crt").write_bytes(_new_certificates()["ca.crt"])
    assert not cluster.answers()  # nobody listens there; the kubeconfig is written all the same
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == cluster.server == "https://127.0.0.1:21002"
    assert set(config["clusters"][0]["cluster"]) == {"server", "certificate-authority-data"}
    assert list(config["users"][0]["user"]) == ["token"]
    assert len(config["contexts"]) == 1


def test_the_certificate_is_good_for_the_address_under_its_own_authority(tmp_path: Path) -> None:
    made = _new_certificates()
    for name, content in made.items():
        write_private(tmp_path / name, content)
    other = _new_certificates()["ca.crt"].decode()
    assert _handshake(tmp_path, made["ca.crt"].decode(), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(tmp_path, other, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(tmp_path, made["ca.crt"].decode(), "127.0.0.2")


def test_sockets_left_in_tmp_are_removed_by_port(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: removed.append(path.name))
    remove_sockets(S3_PORTS)
    for kind, name in (("s3", "grpc"), ("filer", "filer-grpc"), ("master", "master-grpc"), ("volume", "volume-grpc")):
        assert f"seaweedfs-{kind}-grpc-{S3_PORTS[f's3/{name}']}.sock" in removed


def _handshake(home: Path, authority: str, address: str) -> bool:
    """A TLS handshake in memory, as a client that trusts `authority` and wants `address`."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(home / "tls.crt", home / "tls.key")
    client_side = ssl.create_default_context(cadata=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=address)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.version() is not None
