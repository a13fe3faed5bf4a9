"""The clouds of one sandbox: keys and roles made once per home, programs, addresses.

A user of a cloud account, nodes with an identity of their own, and roles:

    velero        trusts the user and the nodes, wants the External ID
    short         as velero, but its sessions may last 15 minutes only, shorter than the hour that everybody asks for
    ended         as velero, but its sessions have ended when they are handed out
    elsewhere     trusts somebody else
    node          what a node is by itself; has no right to the bucket
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.clouds.accounts import Identity, Role, role_arn, user_arn
from sandbox.clouds.google import PROJECT, new_key
from sandbox.files import keep_or_make, private_dir, write_private
from sandbox.processes import Program
from sandbox.state import CHECKOUT

LISTENERS = ("sts", "s3", "metadata", "google", "gcs")
PORTS = tuple(f"clouds/{name}" for name in LISTENERS)
BUCKET = "drydock"
VELERO, SHORT, ENDED, ELSEWHERE, NODE = (role_arn(name) for name in ("velero", "short", "ended", "elsewhere", "node"))
USER, STRANGER = user_arn("console"), user_arn("stranger", "999988887777")
EMAIL = f"velero@{PROJECT}.iam.gserviceaccount.com"
LACKING = {  # accounts of Google Cloud that lack one right each
    f"no-{right.rpartition('.')[2]}@{PROJECT}.iam.gserviceaccount.com": right
    for right in ("storage.objects.list", "storage.objects.create", "storage.objects.delete")
}


def roles(external_id: str) -> list[Role]:
    """Those of the head of this file."""
    ours = (USER, NODE)
    return [
        Role(VELERO, ours, external_id),
        Role(SHORT, ours, external_id, longest=900),
        Role(ENDED, ours, external_id, lasts=-1),
        Role(ELSEWHERE, (user_arn("somebody", "444455556666"),), external_id),
        Role(NODE, trusts=(), may_store=False),
    ]


@dataclass(frozen=True)
class Clouds:
    """`s3_url` is that of the S3 server behind the gate, `s3_keys` are its keys."""

    home: Path
    logs: Path
    ports: dict[str, int]
    s3_url: str
    s3_keys: tuple[str, str]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[f'clouds/{name}']}"

    @property
    def secrets_file(self) -> Path:
        """{"external_id", "users": {name: {"access_key", "secret_key"}}}."""
        return self.home / "secrets.json"

    def public(self) -> dict[str, Any]:
        """The `clouds` part of the state file."""
        urls = {name: self.url(name) for name in LISTENERS}
        return urls | {"secrets_file": str(self.secrets_file), "google_key_file": str(self._key_file(EMAIL))}

    def prepare(self) -> None:
        """Make keys, unless an earlier run has."""
        private_dir(self.home)
        keep_or_make(self.secrets_file, _new_secrets)
        for email in (EMAIL, *LACKING):
            self._make_key(email)
        write_private(self._config_file, json.dumps(self._config()))

    def programs(self) -> list[Program]:
        """The emulator of Cloud Storage, and everything of ours in one process."""
        module = [sys.executable, "-m"]
        emulator = ["gcp_storage_emulator", "--data-dir", str(private_dir(self.home / "gcs")), "start", "--quiet"]
        where = ["--host", "127.0.0.1", "--port", str(self.ports["clouds/gcs"]), "--default-bucket", BUCKET]
        ours = ["sandbox.clouds", str(self._config_file)]
        return [
            Program("gcs", [*module, *emulator, *where], self.logs / "gcs.log", self.home),
            Program("clouds", [*module, *ours], self.logs / "clouds.log", CHECKOUT),
        ]

    def velero_env(self) -> dict[str, str]:
        """Where a Velero server finds STS and its node's identity."""
        return {"AWS_ENDPOINT_URL_STS": self.url("sts"), "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url("metadata")}

    def answers(self) -> bool:
        """Whether all of them listen."""
        for name in LISTENERS:
            try:
                socket.create_connection(("127.0.0.1", self.ports[f"clouds/{name}"]), timeout=1).close()
            except OSError:
                return False
        return True

    @property
    def _config_file(self) -> Path:
        return self.home / "config.json"

    def _key_file(self, email: str) -> Path:
        return self.home / f"{email.partition('@')[0]}.json"

    def _make_key(self, email: str) -> None:
        """Again where the sandbox has moved to another port: the file says where to get tokens."""
        file, token_uri = self._key_file(email), f"{self.url('google')}/token"
        if not file.exists() or json.loads(file.read_text())["token_uri"] != token_uri:
            text, public = new_key(email, token_uri)
            write_private(file, text)
            write_private(file.with_suffix(".pub"), public)

    def _config(self) -> dict[str, Any]:
        """What `python -m sandbox.clouds` reads."""
        held = json.loads(self.secrets_file.read_text())
        arns = {"console": USER, "stranger": STRANGER}
        users = {
            keys["access_key"]: asdict(Identity(arns[name], keys["secret_key"])) for name, keys in held["users"].items()
        }
        accounts = [(email, self._key_file(email).with_suffix(".pub").read_text()) for email in (EMAIL, *LACKING)]
        google = [{"email": email, "public_key": key, "lacks": [LACKING.get(email, "")]} for email, key in accounts]
        return {
            "ports": {name: self.ports[f"clouds/{name}"] for name in LISTENERS if name != "gcs"},
            "users": users,
            "external_id": held["external_id"],
            "s3": {"url": self.s3_url, "keys": list(self.s3_keys)},
            "google": {"url": self.url("gcs"), "accounts": google},
        }


def _new_secrets() -> str:
    users = {name: _new_keys() for name in ("console", "stranger")}
    return json.dumps({"external_id": f"drydock-{secrets.token_hex(8)}", "users": users})


def _new_keys() -> dict[str, str]:
    return {"access_key": f"AKIA{secrets.token_hex(8).upper()}", "secret_key": secrets.token_urlsafe(30)}
