"""What a run leaves behind, place by place, and the secrets that were really in use while it lasted.

Left out by name: `keys.json`, where the console keeps its own keys; `start.log` and `password`, the terminal on which
the first password is shown once; the sandbox's folder but for its logs: there are the clusters' and the clouds' own
copies, as in any cluster.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench import stack
from bench.compare import open_cluster
from bench.locations.haystack import Find, Haystack, layers
from bench.report import Report
from console.kube.paths import core
from console.lib.errors import Missing
from sandbox.state import State

if TYPE_CHECKING:
    from backups.storage.store import Store

LEFT_OUT = ("keys.json", "start.log", "password")
KNOWN = ("sandbox", "static", "log", "tmp", "appendonlydir", *LEFT_OUT)
SAMPLE = b"not-a-real-password"  # in a Secret of the sample application (sandbox/sample)
VELERO, REPOSITORY = "velero", "velero-repo-credentials"
Held = Iterator[tuple[str, bytes]]


class Processes(threading.Thread):
    """Looks at the command line and the environment of every process that works in `var`, again and again."""

    def __init__(self, var: Path) -> None:
        super().__init__(name="processes", daemon=True)
        self._mark, self._ends = str(var).encode(), threading.Event()
        self.seen: dict[tuple[int, bytes], bytes] = {}

    def run(self) -> None:
        while not self._ends.wait(0.1):
            self.look()

    def look(self) -> None:
        """Those that name the folder anywhere; a process seen before is read again only under another command line."""
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or int(process.name) == os.getpid():
                continue
            try:
                words = (process / "cmdline").read_bytes()
                if words and (int(process.name), words) not in self.seen:
                    self.seen[int(process.name), words] = (process / "environ").read_bytes()
            except OSError:
                continue  # it ended, or is somebody else's

    def ours(self) -> dict[str, bytes]:
        """What was seen of our own, by process."""
        ours = {
            seen: environment for seen, environment in list(self.seen.items()) if self._mark in seen[1] + environment
        }
        return {
            f"process {pid} {words[:60]!r}": words + b"\0" + environment for (pid, words), environment in ours.items()
        }

    def __enter__(self) -> Processes:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.join(5)


@dataclass
class Remains:
    """Of the console in `var`. `answers`: paths and what came back; `typed`: wrong secrets, by what they are."""

    var: Path
    state: State
    processes: Processes
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    typed: dict[str, str] = field(default_factory=dict)

    def secrets(self) -> dict[str, bytes]:
        """Everything that must not leak, by what it is."""
        from console.lib import keys

        assert self.state.s3 is not None
        assert self.state.clouds is not None
        kept = keys.load(self.var)
        assert kept is not None
        found = dict(self.typed)
        found |= {"secret key of the store": self.state.s3.keys()[1], "password": stack.password(self.var)}
        found |= {"secret key of the cloud account": self.state.clouds.keys()["secret_key"]}
        pem = json.loads(self.state.clouds.google_key_file.read_text())["private_key"]
        found |= {"Google's private key": pem, "a line of Google's private key": pem.splitlines()[5]}
        found |= {"session key": kept.secret_key, "key ring": kept.ring}
        for name in self.state.clusters:
            found[f"token of {name}"] = self.token(name)
            found |= self._repository_password(name)
        plain = {what: value.encode() for what, value in found.items()}
        return plain | {"key ring, raw": base64.b64decode(kept.ring)}

    def token(self, cluster: str) -> str:
        """That of the kubeconfig."""
        document = yaml.safe_load(self.state.clusters[cluster].kubeconfig.read_text())
        return str(document["users"][0]["user"]["token"])

    def _repository_password(self, cluster: str) -> dict[str, str]:
        """Velero's own, if it has made one: who has it reads what is in the volumes."""
        with open_cluster(self.state.clusters[cluster].kubeconfig) as connection:
            try:
                data = connection.get(core("secrets", VELERO, REPOSITORY))["data"]
            except Missing:
                return {}
        return {f"repository password of {cluster}": base64.b64decode(next(iter(data.values()))).decode()}

    def told(self, report: Report) -> None:
        """One line a place; nothing may be found. That the unpacking works shows at the sample's own Secret."""
        hay = Haystack(self.secrets())
        for place, finds in self.finds(hay).items():
            report.say(
                f"secrets_in_{place}", len(finds), "= 0", n=len(hay.secrets), reference=f"{hay.mib(place):.1f} MiB"
            )
            for find in finds[:10]:
                report.note(f"found: {find}")
        seen = len(self.processes.ours())
        report.say("processes_seen", seen, ">= 8", reference="supervisor, web, workers, reconciler, Valkey at least")
        there = {find.what for find in hay.in_place("cluster", self._velero())}
        report.control("Velero's namespace in the clusters", failed=bool(there), detail=", ".join(sorted(there)))
        self._told_of_backups(report)
        report.note(f"left out by name: {', '.join(LEFT_OUT)}, and the sandbox's own folder but for its logs")

    def _told_of_backups(self, report: Report) -> None:
        objects = list(self._bucket())
        sample = Haystack({"the sample's own Secret": SAMPLE})
        packed = sum(bool(sample.finds(name, data)) for name, data in objects)
        report.say("backups_with_the_sample's_own_secret", packed, ">= 1")
        whole = sum(_has_velero(data) for _, data in objects)
        report.say("backups_with_velero's_namespace", whole, ">= 1")

    def finds(self, hay: Haystack) -> dict[str, list[Find]]:
        """By place."""
        places: dict[str, Held] = {
            "database": self._database(),
            "valkey": self._files("appendonlydir/*", "*.aof", "*.rdb"),
            "logs": self._files("log/*", "sandbox/**/*.log"),
            "other_files": self._rest(),
            "temporary_files": self._temporary(),
            "buckets": self._bucket(),
            "answers": iter(self.answers),
            "processes": iter(self.processes.ours().items()),
        }
        return {place: hay.in_place(place, held) for place, held in places.items()}

    def _velero(self) -> Held:
        """The Secrets that Velero uses."""
        for cluster in self.state.clusters.values():
            with open_cluster(cluster.kubeconfig) as connection:
                for found in connection.list(core("secrets", VELERO)):
                    yield f"{cluster.name} {found['metadata']['name']}", json.dumps(found).encode()

    def _database(self) -> Iterator[tuple[str, bytes]]:
        """Its files as they are, and a dump, in which long values are in one piece."""
        yield from self._files("drydock.sqlite3*")
        file = self.var / "drydock.sqlite3"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            yield "dump", "\n".join(database.iterdump()).encode()
        database.close()

    def _files(self, *patterns: str) -> Iterator[tuple[str, bytes]]:
        for pattern in patterns:
            for path in sorted(self.var.glob(pattern)):
                yield from _content(path)

    def _rest(self) -> Iterator[tuple[str, bytes]]:
        """Whatever else there is: what was spooled for a page, process ids, what nobody thought of."""
        for path in sorted(self.var.rglob("*")):
            first = path.relative_to(self.var).parts[0]
            if first not in KNOWN and "sqlite3" not in first:
                yield from _content(path)

    def _temporary(self) -> Iterator[tuple[str, bytes]]:
        """The console's own folder for them, and what lies openly in the machine's since we began."""
        yield from self._files("tmp/**/*")
        began = (self.var / "keys.json").stat().st_mtime
        for path in Path(tempfile.gettempdir()).iterdir():
            if path.is_file() and path.stat().st_mtime >= began and path.stat().st_uid == os.getuid():
                yield from _content(path)

    def _bucket(self) -> Iterator[tuple[str, bytes]]:
        """Every object below the locations, read as the console reads."""
        from backups.models import BackupLocation
        from backups.reconcile.location import STORED, target_of
        from backups.storage.store import opened
        from console.lib import outbound

        for location in BackupLocation.objects.exclude(sign_in="sts-cluster"):
            target = target_of({name: getattr(location, name) for name in STORED})
            with opened(target, outbound.policy()) as store:
                for key in store.list(target.folder).keys:
                    yield f"{location}:{key}", _read(store, key)


def _read(store: Store, key: str) -> bytes:
    body = store.get(key)
    try:
        return b"".join(iter(partial(body.read, 2**20), b""))
    finally:
        body.close()


def _has_velero(data: bytes) -> bool:
    """Whether an archive holds objects of Velero's own namespace."""
    return any(f"/namespaces/{VELERO}/" in inside for inside, _ in layers(data))


def _content(path: Path) -> Iterator[tuple[str, bytes]]:
    """Nothing of what is no file, or gone."""
    try:
        if path.is_file():
            yield str(path), path.read_bytes()
    except OSError:
        return
