"""Reading what a sandbox says about itself."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.state import Progress, default_home, is_running, lock_file, read_state, state_file


def written(home: Path, **changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "stage": "ready",
        "progress": {"done": 8, "total": 8, "what": "ready"},
        "message": "The sandbox is ready.",
        "log": None,
        "keeper_pid": 4242,
        "parts": {"harbor-east/velero": {"pid": 77, "status": "running", "log": "/logs/velero.log"}},
        "clusters": {
            "harbor-east": {"kubeconfig": "/k", "server": "https://127.0.0.1:2", "velero_pid": 77, "logs": "/logs"}
        },
        "s3": {
            "plain": {"url": "http://127.0.0.1:3", "region": "us-east-1"},
            "tls": {"url": "https://127.0.0.1:4", "region": "us-east-1", "ca_file": "/ca"},
            "bucket": "drydock",
            "credentials_file": str(home / "credentials"),
        },
    } | changes
    state_file(home).write_text(json.dumps(raw))
    return raw


def test_a_whole_state_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    state = read_state(tmp_path)
    assert state
    assert (state.stage, state.progress, state.log) == ("ready", Progress(8, 8, "ready"), None)
    assert state.clusters["harbor-east"].kubeconfig == Path("/k")
    assert state.clusters["harbor-east"].velero_pid == 77
    assert state.s3
    assert (state.s3.plain_url, state.s3.tls_url) == ("http://127.0.0.1:3", "https://127.0.0.1:4")


def test_before_anything_is_laid_out_there_is_no_s3_and_no_cluster(tmp_path: Path) -> None:
    written(tmp_path, stage="building", parts={}, clusters={}, s3=None, log="/log")
    state = read_state(tmp_path)
    assert state
    assert (state.s3, state.clusters, state.log) == (None, {}, Path("/log"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"stage": "ready"}', '{"progress": 3}', "\x00\xff"])
def test_what_is_not_a_state_is_none(tmp_path: Path, text: str) -> None:
    state_file(tmp_path).write_text(text)
    assert read_state(tmp_path) is None


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path / "nowhere") is None


@pytest.mark.parametrize(("status", "degraded"), [("running", False), ("stopped", False), ("died", True)])
def test_only_a_death_nobody_asked_for_degrades(tmp_path: Path, status: str, degraded: bool) -> None:
    written(tmp_path, parts={"s3": {"pid": None, "status": status, "log": "/l"}})
    state = read_state(tmp_path)
    assert state
    assert state.degraded is degraded


def test_ready_needs_somebody_who_holds_the_lock(tmp_path: Path) -> None:
    written(tmp_path)
    state = read_state(tmp_path)
    assert state
    assert not is_running(tmp_path)  # there is no lock file
    with lock_file(tmp_path).open("w") as lock:
        before = state.ready
        fcntl.flock(lock, fcntl.LOCK_EX)
        during = state.ready
    assert (before, during, state.ready) == (False, True, False)


def test_keys_come_from_the_credentials_file_as_they_are(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a%b/c=\n")
    state = read_state(tmp_path)
    assert state and state.s3
    assert state.s3.keys() == ("AKIA1", "a%b/c=")


def test_home_follows_drydock_var(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRYDOCK_VAR", str(tmp_path))
    assert default_home() == tmp_path / "sandbox"
    monkeypatch.delenv("DRYDOCK_VAR")
    assert default_home().parts[-2:] == ("var", "sandbox")


def test_stand_ins_for_the_clouds_are_there_only_when_asked_for(tmp_path: Path) -> None:
    written(tmp_path)
    state = read_state(tmp_path)
    assert state
    assert state.clouds is None
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"external_id": "x1", "users": {"console": {"access_key": "A", "secret_key": "S"}}}))
    urls = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(("sts", "s3", "metadata", "google", "gcs"), 5)}
    written(tmp_path, clouds=urls | {"secrets_file": str(secrets), "google_key_file": "/key.json"})
    state = read_state(tmp_path)
    assert state
    assert state.clouds
    assert (state.clouds.sts, state.clouds.external_id) == ("http://127.0.0.1:5", "x1")
    assert state.clouds.keys() == {"access_key": "A", "secret_key": "S"}
