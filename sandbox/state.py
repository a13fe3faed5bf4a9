"""What a sandbox says about itself: `<home>/state.json`, written by the keeper, read by everybody else.

    stage     building → starting → ready; or failed, or stopped
    progress  {"done": int, "total": int, "what": "starting harbor-east"}
    message   a sentence for a person; begins with "degraded:" when something that should run does not
    log       the file to read when something failed, or null
    parts     {"harbor-east/velero": {"pid": int or null, "status": "running|stopped|died", "log": path}}
    clusters  {"harbor-east": {"kubeconfig", "server", "velero_pid", "logs"}}
    s3        {"plain": {"url", "region"}, "tls": {"url", "region", "ca_file"}, "bucket", "credentials_file"}
    clouds    {"sts", "s3", "metadata", "google": addresses, "secrets_file", "google_key_file"}, or null: not asked for

Clusters and S3 appear with the stage "starting". Secrets are never in this file, only paths of files that hold them.
"""

from __future__ import annotations

import configparser
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
CLUSTERS = ("harbor-east", "harbor-west")


def default_home() -> Path:
    """Where `up` keeps everything unless told otherwise: `var/sandbox`, or below DRYDOCK_VAR."""
    return Path(os.environ.get("DRYDOCK_VAR", CHECKOUT / "var")).resolve() / "sandbox"


def state_file(home: Path) -> Path:
    return home / "state.json"


def lock_file(home: Path) -> Path:
    """Locked by the guard for as long as any process of this home may be alive; holds the guard's process id."""
    return home / "keeper.lock"


@dataclass(frozen=True)
class Progress:
    done: int
    total: int
    what: str


@dataclass(frozen=True)
class Part:
    """One program. `status` is running, stopped (somebody asked for it) or died (nobody did)."""

    name: str
    pid: int | None
    status: str
    log: Path


@dataclass(frozen=True)
class Cluster:
    name: str
    kubeconfig: Path
    server: str
    velero_pid: int | None
    logs: Path


@dataclass(frozen=True)
class S3:
    """One store behind two addresses. `credentials_file` is an AWS credentials file with a profile `default`."""

    plain_url: str
    tls_url: str
    ca_file: Path
    region: str
    bucket: str
    credentials_file: Path

    def keys(self) -> tuple[str, str]:
        """The access key id and the secret key."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self.credentials_file.read_text())
        profile = parser["default"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]


@dataclass(frozen=True)
class Clouds:
    """Addresses of the stand-ins; `s3` lets sessions of roles through alone. `gcs` is the bare emulator.

    `secrets_file` holds {"external_id", "users": {"console" | "stranger": {"access_key", "secret_key"}}}.
    """

    sts: str
    s3: str
    metadata: str
    google: str
    gcs: str
    secrets_file: Path
    google_key_file: Path

    def keys(self, user: str = "console") -> dict[str, str]:
        """{"access_key", "secret_key"} of a user of the cloud account."""
        return dict(json.loads(self.secrets_file.read_text())["users"][user])

    @property
    def external_id(self) -> str:
        """What the roles want to hear."""
        return str(json.loads(self.secrets_file.read_text())["external_id"])


@dataclass(frozen=True)
class State:
    home: Path
    stage: str
    progress: Progress
    message: str
    log: Path | None
    keeper_pid: int
    parts: dict[str, Part]
    clusters: dict[str, Cluster]
    s3: S3 | None
    clouds: Clouds | None = None

    @property
    def ready(self) -> bool:
        """Everything was started and the keeper is alive. A part may have died since: see `degraded`."""
        return self.stage == "ready" and is_running(self.home)

    @property
    def degraded(self) -> bool:
        return any(part.status == "died" for part in self.parts.values())


def read_state(home: Path) -> State | None:
    """The state of the sandbox in `home`; None if there never was one, or the file is not a state."""
    try:
        raw = json.loads(state_file(home).read_text())
        return _state(home, raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_running(home: Path) -> bool:
    """Whether a sandbox of this home has any process left. Certain: it asks for the guard's lock, not for a pid."""
    try:
        stream = lock_file(home).open()
    except OSError:
        return False
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _state(home: Path, raw: dict[str, Any]) -> State:
    progress = raw["progress"]
    return State(
        home=home,
        stage=str(raw["stage"]),
        progress=Progress(int(progress["done"]), int(progress["total"]), str(progress["what"])),
        message=str(raw["message"]),
        log=Path(raw["log"]) if raw["log"] else None,
        keeper_pid=int(raw["keeper_pid"]),
        parts={name: Part(name, x["pid"], x["status"], Path(x["log"])) for name, x in raw["parts"].items()},
        clusters={name: _cluster(name, x) for name, x in raw["clusters"].items()},
        s3=_s3(raw["s3"]) if raw["s3"] else None,
        clouds=_clouds(raw["clouds"]) if raw.get("clouds") else None,
    )


def _cluster(name: str, raw: dict[str, Any]) -> Cluster:
    return Cluster(name, Path(raw["kubeconfig"]), raw["server"], raw["velero_pid"], Path(raw["logs"]))


def _s3(raw: dict[str, Any]) -> S3:
    plain, tls = raw["plain"], raw["tls"]
    files = Path(tls["ca_file"]), Path(raw["credentials_file"])
    return S3(plain["url"], tls["url"], files[0], plain["region"], raw["bucket"], files[1])


def _clouds(raw: dict[str, Any]) -> Clouds:
    urls = {name: str(raw[name]) for name in ("sts", "s3", "metadata", "google", "gcs")}
    return Clouds(**urls, secrets_file=Path(raw["secrets_file"]), google_key_file=Path(raw["google_key_file"]))
