"""Logs of backups and restores: a worker puts them into the spool, pages show them from there."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404
from backups.actions.reading import request_log
from backups.models import Backup, Reading, ReadingKind, Restore
from backups.views.spooled import just_asked, own
from console.lib import spool
from console.lib.errors import NotVisible
from console.lib.live import page_response

MOST_SHOWN = 1000
LEVELS = ("error", "warning", "info")
LOGFMT = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
MODELS: dict[str, type[Backup] | type[Restore]] = {"backup": Backup, "restore": Restore}


@dataclass(frozen=True)
class Line:
    """A line of a log as it is shown. `level` and `at` are Velero's words, empty when the line has none."""

    at: str
    level: str
    text: str


def parsed(line: str) -> Line:
    """Velero logs as `time="…" level=… msg="…"` or, with --log-format json, as one object a line."""
    fields = _json_fields(line) or dict(LOGFMT.findall(line))
    said = " ".join(_plain(fields[name]) for name in ("msg", "error") if fields.get(name))
    at = _plain(fields.get("time", ""))[11:19]
    return Line(at, str(fields.get("level", "")), said or line)


def _json_fields(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(value: object) -> str:
    text = str(value)
    return text[1:-1].replace('\\"', '"') if text.startswith('"') and text.endswith('"') else text


@require_http_methods(["GET", "POST"])
def log(request: AuthenticatedHttpRequest, kind: str, pk: uuid.UUID) -> HttpResponse:
    """GET shows what has been read for this person; POST has it read."""
    wish = _wish(request, kind, pk)
    if request.method == "POST":
        request_log(by=request.user, of=wish)
        return redirect(request.path)
    reading, query, level = (
        own(request, wish, ReadingKind.LOG),
        request.GET.get("q", "").strip(),
        request.GET.get("level", ""),
    )
    lines, found = _first(_lines(reading, query, level)) if reading else ([], 0)
    context: dict[str, Any] = {
        "wish": wish, "kind": kind, "cluster": wish.cluster, "project": wish.project, "section": "clusters",
        "reading": reading, "lines": lines, "found": found, "query": query,
        "level": level, "levels": LEVELS,
    }  # fmt: skip
    busy = bool(reading and reading.is_open)
    return page_response(request, "backups/log.html", "log", context, busy=busy, soon=busy and just_asked(reading))


@require_GET
def log_text(request: AuthenticatedHttpRequest, kind: str, pk: uuid.UUID) -> HttpResponseBase:
    """The log that was read for this person, as a file."""
    wish = _wish(request, kind, pk)
    reading = own(request, wish, ReadingKind.LOG)
    if reading is None or reading.is_open:
        raise NotVisible("The log has not been read yet.")
    text = (f"{line}\n" for block in spool.blocks(reading.pk) for line in block)
    response = StreamingHttpResponse(text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{wish.object_name}.log"'
    return response


def _wish(request: AuthenticatedHttpRequest, kind: str, pk: uuid.UUID) -> Backup | Restore:
    rows: Any = MODELS[kind].objects.select_related("cluster__project", "project")
    found: Backup | Restore = get_or_404(request.user, rows, Verb.BACKUP_LOG, pk)
    return found


def _first(lines: Iterator[Line]) -> tuple[list[Line], int]:
    """As many lines as a page shows, and how many there are: the rest of a long log is counted, never held."""
    shown = list(islice(lines, MOST_SHOWN))
    return shown, len(shown) + sum(1 for _ in lines)


def _lines(reading: Reading, query: str, level: str) -> Iterator[Line]:
    for block in spool.blocks(reading.pk):
        for raw in block:
            line = parsed(raw)
            if (not query or query.lower() in raw.lower()) and (not level or line.level == level):
                yield line
