"""What a finished backup or restore left in the bucket: looked at once, kept in the row.

A backup's `size` is that of its own folder: the objects' descriptions, the log, the lists. Volume data lies elsewhere.
`results` in the row:
{"entries": [{"severity", "namespace", "kind", "text", "sentence", "remedy", "count"}], "unread": text}.
`namespace` is empty for cluster-scoped objects, `kind` where the text names none (rows of earlier days have no `kind`);
`sentence` is empty where the text speaks for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from backups import storage
from backups.models import Backup, Restore
from backups.reconcile.bucket import place_of, read_results_document
from backups.velero.about import kind_of
from backups.velero.explain import explain
from console.lib import outbound
from console.lib.errors import ConsoleError, clip

MOST = 500
LARGEST = 4 * 1024 * 1024


def read(wish: Backup | Restore) -> None:
    """Fill `results`, and `size` of a backup. What cannot be read is said, and not tried again."""
    found: dict[str, Any] = {"results": _results(wish)}
    if isinstance(wish, Backup):
        found["size"] = _size(wish)
    type(wish)._default_manager.filter(pk=wish.pk).update(**found)


def _results(wish: Backup | Restore) -> dict[str, Any]:
    if not wish.errors and not wish.warnings:
        return {"entries": [], "unread": ""}
    try:
        return {"entries": entries(read_results_document(wish, max_bytes=LARGEST)), "unread": ""}
    except ConsoleError as error:
        return {"entries": [], "unread": error.sentence()}


def _size(backup: Backup) -> int | None:
    """Bytes below the backup's folder; None when they cannot be counted."""
    try:
        place = place_of(backup)
        folder = storage.backup_folder(place.prefix, backup.object_name)
        return storage.size_below(place.target, folder, outbound.policy())
    except ConsoleError:
        return None


def entries(document: Any) -> list[dict[str, Any]]:
    """Velero's results file (pkg/util/results/result.go: errors and warnings, each {velero, cluster, namespaces}),
    equal texts counted, errors first."""
    counted = Counter(found for severity in ("errors", "warnings") for found in _texts(document, severity))
    return [_entry(*found, count) for found, count in counted.items()][:MOST]


def _texts(document: Any, severity: str) -> Iterator[tuple[str, str, str]]:
    result = document.get(severity) if isinstance(document, dict) else None
    if not isinstance(result, dict):
        return
    spaces = result.get("namespaces")
    by_space = [*spaces.items()] if isinstance(spaces, dict) else []
    for namespace, texts in [("", result.get("velero")), ("", result.get("cluster")), *by_space]:
        for text in texts if isinstance(texts, list) else []:
            yield severity.removesuffix("s"), clip(namespace, 63), clip(text)


def _entry(severity: str, namespace: str, text: str, count: int) -> dict[str, Any]:
    meaning = explain(text)
    return {
        "severity": severity,
        "namespace": namespace,
        "kind": kind_of(text),
        "text": text,
        "sentence": meaning.sentence if meaning.known else "",
        "remedy": meaning.remedy,
        "count": count,
    }
