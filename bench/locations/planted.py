"""The control of S4: one secret in each place that is searched, each time in another form."""

from __future__ import annotations

import base64
import io
import json
import secrets
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import redis

from bench.faults.load import Visitor
from bench.locations.haystack import Haystack
from bench.locations.remains import Remains
from bench.report import Report

if TYPE_CHECKING:
    from backups.models import BackupLocation


def control(report: Report, remains: Remains, visitor: Visitor, location: BackupLocation) -> None:
    """A secret in each place is found in that place. `visitor` may see the location."""
    secret = secrets.token_urlsafe(24)
    with _planted(remains, location, secret):
        page = f"/locations/{location.pk}/"
        answers = [(page, visitor.get(page).body.encode())]
        remains.processes.look()
        found = replace(remains, answers=answers).finds(Haystack({"planted": secret.encode()}))
    for place, finds in found.items():
        told = f"as {', '.join(sorted({find.form for find in finds}))}" if finds else "not found"
        report.control(f"planted in {place}", failed=bool(finds), detail=told)


@contextmanager
def _planted(remains: Remains, location: BackupLocation, secret: str) -> Iterator[None]:
    """In a row that a page shows, a log, files, Valkey, an archive in the bucket, and a process's words."""
    type(location).objects.filter(pk=location.pk).update(state="unavailable", state_reason=f"wrong key {secret}")
    with (remains.var / "log" / "web.log").open("a") as log:
        log.write(f"GET /?key={secret.encode().hex()}\n")
    for name in ("tmp/planted", "planted"):
        (remains.var / name).write_text(base64.b64encode(f"key: {secret}".encode()).decode())
    with redis.Redis(unix_socket_path=str(remains.var / "valkey.sock")) as valkey:
        valkey.set("planted", secret)
    _plant_object(location, secret)
    command = [sys.executable, "-c", "import time; time.sleep(60)", str(remains.var), secret]
    with subprocess.Popen(command) as process:
        time.sleep(0.3)  # until it has become another program
        yield
        process.kill()


def _plant_object(location: BackupLocation, secret: str) -> None:
    """A Secret in an archive, as in a backup."""
    from backups.reconcile.location import STORED, target_of
    from backups.storage.store import opened
    from console.lib import outbound

    body = json.dumps({"data": {"cloud": base64.b64encode(f"[default]\nkey={secret}".encode()).decode()}}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("resources/secrets/namespaces/velero/planted.json")
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))
    target = target_of({name: getattr(location, name) for name in STORED})
    with opened(target, outbound.policy()) as store:
        store.put(f"{target.folder}planted.tar.gz", packed.getvalue())
