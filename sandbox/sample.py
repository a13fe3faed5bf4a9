"""The sample application that the first cluster gets: three namespaces of ordinary objects worth a backup.

Its manifests are in `sample/`. No pod runs (there is no kubelet), but ReplicaSets and Pending pods exist.
"""

from __future__ import annotations

import time
from pathlib import Path

import yaml

from sandbox.api import Api, Json
from sandbox.errors import SandboxError

NAMESPACES = ("shop", "shop-data", "intranet")
MANIFESTS = Path(__file__).resolve().parent / "sample"
CRD_LIMIT = 20  # seconds until a new kind has to be served
DELETION_LIMIT = 60  # seconds until a namespace in deletion has to be gone


def documents() -> list[Json]:
    """Every object of the sample application, in the order in which they have to be applied."""
    files = [MANIFESTS / f"{namespace}.yaml" for namespace in NAMESPACES]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def apply(kubeconfig: Path) -> None:
    """Apply the sample application; what is there already is set back to what the manifests say.

    Raises: SandboxError with the API server's words when it refuses an object.
    """
    api = Api(kubeconfig)
    _wait_for_deletions(api)
    paths: dict[tuple[str, str], tuple[str, bool]] = {}
    for document in documents():
        kind = (document["apiVersion"], document["kind"])
        if kind not in paths:
            paths[kind] = _collection(api, *kind)
        query = "?fieldManager=drydock-sandbox&force=true"
        api.must("PATCH", _path(document, *paths[kind]) + query, document, "application/apply-patch+yaml")


def _wait_for_deletions(api: Api) -> None:
    """Nothing can be made in a namespace that somebody deleted a moment ago, perhaps just before the last `down`."""
    deadline = time.monotonic() + DELETION_LIMIT
    for namespace in NAMESPACES:
        while _phase(api, namespace) == "Terminating":
            if time.monotonic() > deadline:
                raise SandboxError(f"Namespace {namespace} is being deleted and does not go. Look what holds it up.")
            time.sleep(0.2)


def _phase(api: Api, namespace: str) -> str:
    """Empty when there is no such namespace; the answer's "status" is then a word, not an object."""
    status = api.request("GET", f"/api/v1/namespaces/{namespace}")[1].get("status")
    return str(status.get("phase", "")) if isinstance(status, dict) else ""


def _collection(api: Api, version: str, kind: str) -> tuple[str, bool]:
    """Where objects of a kind live, and whether they have a namespace. Waits for a kind that was only just defined."""
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    deadline = time.monotonic() + CRD_LIMIT
    while time.monotonic() < deadline:
        for resource in api.request("GET", base)[1].get("resources", []):
            if resource["kind"] == kind and "/" not in resource["name"]:
                return f"{base}|{resource['name']}", resource["namespaced"]
        time.sleep(0.1)
    raise SandboxError(f"The API server does not serve {kind} ({version}).")


def _path(document: Json, collection: str, namespaced: bool) -> str:
    base, _, plural = collection.partition("|")
    metadata = document["metadata"]
    place = f"/namespaces/{metadata['namespace']}" if namespaced else ""
    return f"{base}{place}/{plural}/{metadata['name']}"
