"""Is Velero there, which one, does it answer? Facts for the connection check and the cluster's health."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from backups.velero import names
from backups.velero.objects import remove
from backups.velero.reading import Fields, shown
from console.kube import paths
from console.lib.errors import Missing
from console.lib.text import storable

# Until 1.15 a CSI backup restored elsewhere needed snapshot objects of the source cluster; 1.16 removed them from
# backups (changelogs/CHANGELOG-1.16.md), and our way to another cluster builds on that.
OLDEST_VERSION = (1, 16)
NEEDED_CRDS = frozenset(
    {
        "backups",
        "restores",
        "schedules",
        "backupstoragelocations",
        "volumesnapshotlocations",
        "deletebackuprequests",
        "downloadrequests",
        "serverstatusrequests",
        "podvolumebackups",
        "podvolumerestores",
        "backuprepositories",
    }
)
ANSWER_WITHIN = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d{1,6})?")
_IMAGE_TAG = re.compile(r":(v?\d[\w.-]*)(?:@sha256:[0-9a-f]+)?$")


@dataclass(frozen=True)
class Plugin:
    """A plugin the server loaded: `velero.io/aws`, `ObjectStore`."""

    name: str
    kind: str


@dataclass(frozen=True)
class ServerInfo:
    """A running server's own answer."""

    version: str
    plugins: tuple[Plugin, ...]

    def has_object_store(self, provider: str) -> bool:
        """Whether locations of `provider` (aws, gcp) can work; Velero prefixes bare names with `velero.io/`."""
        wanted = provider if "/" in provider else f"velero.io/{provider}"
        return Plugin(wanted, "ObjectStore") in self.plugins


@dataclass(frozen=True, kw_only=True)
class VeleroFacts:
    """What the cluster says about its Velero. `answered`: None when it was not asked.

    `message` and `remedy` are for a person; both empty when all is well.
    """

    present: bool
    version: str = ""
    crds: frozenset[str] = frozenset()
    missing_crds: frozenset[str] = frozenset()
    deployment: bool = False
    node_agent: bool = False
    plugins: tuple[Plugin, ...] = ()
    answered: bool | None = None
    supported: bool = False
    message: str = ""
    remedy: str = ""


def installed(conn: names.KubeApi, namespace: str, *, ask_server: bool = True) -> VeleroFacts:
    """Look for Velero in `namespace`; with `ask_server` also wait up to 5 s for the server to answer.

    A Deployment without replicas is no fault: the server may run outside the cluster.

    Raises: whatever the connection raises, but for things that are not there.
    """
    crds = _served(conn)
    if "backups" not in crds:
        return VeleroFacts(
            present=False,
            crds=crds,
            message="Velero is not installed in this cluster.",
            remedy="Install it there with velero install, then check the connection again.",
        )
    deployment = _workload(conn, "deployments", namespace, "velero")
    answer = server_status(conn, namespace) if ask_server and "serverstatusrequests" in crds else None
    version = answer.version if answer else _image_version(deployment)
    message, remedy = _verdict(version, crds, deployment is not None, namespace, ask_server and answer is None)
    return VeleroFacts(
        present=True,
        version=version,
        crds=crds,
        missing_crds=NEEDED_CRDS - crds,
        deployment=deployment is not None,
        node_agent=_workload(conn, "daemonsets", namespace, "node-agent") is not None,
        plugins=answer.plugins if answer else (),
        answered=answer is not None if ask_server else None,
        supported=not message,
        message=message,
        remedy=remedy,
    )


def _verdict(version: str, crds: frozenset[str], deployment: bool, namespace: str, silent: bool) -> tuple[str, str]:
    """What is wrong and what to do, the most telling first; two empty texts when nothing is."""
    if NEEDED_CRDS - crds:
        missing = ", ".join(sorted(NEEDED_CRDS - crds))
        return f"Velero's resource definitions are incomplete: {missing} missing.", "Install Velero again."
    parsed = parse_version(version)
    if parsed is not None and parsed < OLDEST_VERSION:
        wanted = ".".join(map(str, OLDEST_VERSION))
        return f"Velero {shown(version)} is too old; {wanted} or newer is needed.", "Upgrade Velero in the cluster."
    if silent and not deployment:
        return (
            f"There is no Velero in the namespace {namespace}, only its resource definitions.",
            "Check the Velero namespace in the cluster's settings, or install Velero.",
        )
    if silent:
        return (
            "Velero is installed but does not answer; it may be stopped or starting.",
            f"Look at the pods of the Deployment velero in the namespace {namespace}.",
        )
    if not deployment:
        # pod_volume_restore_action.go:63-64: without it every restore ends in PartiallyFailed.
        return (
            f"The Deployment velero is missing in the namespace {namespace}, so restores would fail.",
            "Install Velero again; a Deployment without replicas is enough.",
        )
    return "", ""


def parse_version(text: str) -> tuple[int, int] | None:
    """Major and minor; None for development builds and anything else."""
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2])) if match else None


def _served(conn: names.KubeApi) -> frozenset[str]:
    try:
        found = conn.get(f"/apis/{names.GROUP}/{names.VERSION}").get("resources")
    except Missing:
        return frozenset()
    listed = found if isinstance(found, list) else []
    texts = (item.get("name") for item in listed if isinstance(item, dict))
    return frozenset(storable(text) for text in texts if isinstance(text, str) and "/" not in text)


def _workload(conn: names.KubeApi, plural: str, namespace: str, name: str) -> names.Json | None:
    try:
        return conn.get(paths.custom("apps", "v1", plural, namespace, name))
    except Missing:
        return None


def _image_version(deployment: names.Json | None) -> str:
    """The tag of the Deployment's image; empty for a digest alone."""
    template = ((deployment or {}).get("spec") or {}).get("template") or {}
    containers = (template.get("spec") or {}).get("containers") or []
    image = Fields(containers[0]).text("image") if containers else ""
    match = _IMAGE_TAG.search(image)
    return match[1] if match else ""


def server_status(
    conn: names.KubeApi,
    namespace: str,
    *,
    within: float = ANSWER_WITHIN,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ServerInfo | None:
    """Ask the server itself (server_status_request_controller.go); None when none answers `within` seconds.

    Raises: whatever the connection raises.
    """
    meta: names.Json = {"generateName": "drydock-", "namespace": namespace, "labels": names.our_labels({})}
    created = conn.create(
        names.path("serverstatusrequests", namespace), names.resource("ServerStatusRequest", meta, {})
    )
    path = names.path("serverstatusrequests", namespace, created["metadata"]["name"])
    deadline, pause = clock() + within, _FIRST_PAUSE
    try:
        while (answer := _answer(conn, path)) is None and clock() < deadline:
            sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return answer
    finally:
        remove(conn, path)


def _answer(conn: names.KubeApi, path: str) -> ServerInfo | None:
    status = conn.get(path).get("status")
    if not isinstance(status, dict) or status.get("phase") != "Processed":
        return None
    listed = status.get("plugins")
    plugins = (Fields(item) for item in (listed if isinstance(listed, list) else []))
    return ServerInfo(
        version=Fields(status).text("serverVersion"),
        plugins=tuple(Plugin(item.text("name"), item.text("kind")) for item in plugins),
    )
