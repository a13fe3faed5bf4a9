"""Drydock's words and signs in templates: states, icons, times, amounts, fields, and the frame's menus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.contrib.staticfiles import finders
from django.core.paginator import Page
from django.db.models import Model
from django.forms import BoundField, CheckboxInput
from django.template.context import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.permissions import Verb, held_in
from console import navigation
from console.lib import context as cause
from console.lib import provisioning

register = template.Library()


@dataclass(frozen=True)
class Look:
    """How a state is shown. `role` is one of ok, busy, warn, bad, odd and quiet (see components.css)."""

    label: str
    role: str
    icon: str
    turning: bool = False


# The one place that says what a state looks like: backups and restores, clusters, locations, checks, Velero's phases.
STATES: dict[str, Look] = {
    "requested": Look("Requested", "quiet", "waiting"),
    "submitting": Look("Submitting", "busy", "running", turning=True),
    "submitted": Look("Queued", "busy", "waiting"),
    "running": Look("Running", "busy", "running", turning=True),
    "unknown": Look("Unknown", "odd", "unknown"),
    "completed": Look("Completed", "ok", "passed"),
    "partially_failed": Look("Partially failed", "warn", "warning"),
    "failed": Look("Failed", "bad", "failed"),
    "rejected": Look("Rejected", "bad", "failed"),
    "canceled": Look("Canceled", "quiet", "skipped"),
    "deleting": Look("Deleting", "busy", "running", turning=True),
    "deleted": Look("Deleted", "quiet", "delete"),
    "pending": Look("Pending", "quiet", "waiting"),
    "healthy": Look("Healthy", "ok", "passed"),
    "degraded": Look("Degraded", "warn", "warning"),
    "unreachable": Look("Unreachable", "bad", "unplugged"),
    "velero_missing": Look("Velero missing", "warn", "warning"),
    "available": Look("Available", "ok", "passed"),
    "unavailable": Look("Unavailable", "bad", "failed"),
    "never_used": Look("Never used", "quiet", "skipped"),
    "passed": Look("Passed", "ok", "passed"),
    "warned": Look("Warning", "warn", "warning"),
    "skipped": Look("Skipped", "quiet", "skipped"),
    "waiting": Look("Waiting", "quiet", "waiting"),
    "not_checkable": Look("Not checkable from here", "quiet", "unknown"),
    "paused": Look("Paused", "quiet", "pause"),
    "active": Look("Active", "ok", "passed"),
    "late": Look("Late", "warn", "clock"),
    "drifted": Look("Changed in the cluster", "warn", "warning"),
    "invited": Look("Invited", "busy", "waiting"),
    "deactivated": Look("Deactivated", "quiet", "skipped"),
    "building": Look("Building", "busy", "running", turning=True),
    "starting": Look("Starting", "busy", "running", turning=True),
    "ready": Look("Ready", "ok", "passed"),
    "stopped": Look("Stopped", "quiet", "pause"),
    "not_saved": Look("Not saved", "warn", "warning"),
    "csi_snapshot": Look("CSI snapshot", "ok", "disk"),
    "provider_snapshot": Look("Provider snapshot", "ok", "disk"),
    "data_mover": Look("Snapshot, moved to the bucket", "ok", "disk"),
    "files": Look("File-system backup", "ok", "file"),
    "denied": Look("Denied", "bad", "lock"),
    "done": Look("Done", "ok", "passed"),
}

# Outcomes of a check's step, whatever the gateway calls them, as classes of components.css.
OUTCOMES = {
    "pass": "passed", "passed": "passed", "ok": "passed", "done": "passed", "completed": "passed",
    "fail": "failed", "failed": "failed", "blocker": "failed",
    "warn": "warned", "warned": "warned", "warning": "warned",
    "run": "running", "running": "running",
    "skip": "skipped", "skipped": "skipped",
    "not_checkable": "not_checkable",
}  # fmt: skip


def look(state: object) -> Look:
    """How to show `state`; a word nobody knows is shown verbatim."""
    word = str(getattr(state, "value", state) or "")
    return STATES.get(word) or Look(word or "Unknown", "odd", "unknown")


@register.simple_tag
def badge(state: object, label: str = "", title: str = "") -> SafeString:
    """`{% badge backup.state %}`; `label` overrides the word, `title` is the reason on hover."""
    shown = look(state)
    return format_html(
        '<span class="badge {}"{}>{}{}</span>',
        shown.role,
        format_html(' title="{}"', title) if title else "",
        icon(shown.icon, "turning" if shown.turning else ""),
        label or shown.label,
    )


@register.simple_tag
def wish_badge(wish: Any) -> SafeString:
    """The badge of a backup or restore, with its place in Velero's queue while it waits there."""
    return badge(wish.state, wish_label(wish), wish.message)


@register.filter
def wish_label(wish: Any) -> str:
    """`Queued, 3rd in line`; the state's word where there is no queue."""
    place = queue_place(wish)
    return look(wish.state).label + (f", {place}" if place else "")


@register.filter
def queue_place(wish: Any) -> str:
    """`3rd in line`, `next in line`; empty where there is no queue."""
    position = getattr(wish, "queue_position", 0) if wish.state == "submitted" else 0
    return f"{ordinal(position)} in line" if position else ""


def ordinal(position: int) -> str:
    """`next`, `2nd`, `3rd`, `4th`, `11th`, `21st`."""
    if position == 1:
        return "next"
    ending = "th" if position % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position}{ending}"


@register.filter
def state_label(state: object) -> str:
    """The word for a state, for sentences and data-announce."""
    return look(state).label


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon of static/icons.svg beside a text. It says nothing to a screen reader."""
    return _icon(name, extra)


@lru_cache(maxsize=512)
def _icon(name: str, extra: str) -> SafeString:
    """A list has a hundred of them, of a few kinds; finding the file's address takes longer than the rest."""
    address = static("icons.svg")
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>', extra, address, name
    )


def icon_names() -> list[str]:
    """The icons there are, for the style guide."""
    found = finders.find("icons.svg")
    return re.findall(r'<symbol id="([a-z-]+)"', Path(found).read_text()) if found else []


@register.simple_tag
def reference() -> str:
    """The id of this request, as it stands in the logs."""
    return cause.current().id


# Times and amounts


UNITS = (
    (60, 1, "s"),
    (3600, 60, "min"),
    (86_400, 3600, "h"),
    (2_592_000, 86_400, "day"),
    (31_536_000, 2_592_000, "month"),
)


def relative(at: datetime, now: datetime) -> str:
    """`5 min ago`, `in 3 days`. Seconds go by tens, so that a polled fragment rarely differs by its times alone.

    static/js/ui.js keeps the same words moving in the browser.
    """
    gap = int(abs((now - at).total_seconds()))
    if gap < 10:
        return "just now"
    unit, word = next(((unit, word) for limit, unit, word in UNITS if gap < limit), (31_536_000, "year"))
    full = gap + 59 if at > now else gap  # what ends in 30 days does not end "in 29 days" a second later
    count = gap - gap % 10 if unit == 1 else full // unit
    words = f"{count} {word}{'s' if count > 1 and unit >= 86_400 else ''}"
    return f"in {words}" if at > now else f"{words} ago"


def absolute(at: datetime) -> str:
    """In the viewer's zone, with its abbreviation: `22 Nov 2026, 18:20 CET`."""
    local = timezone.localtime(at)
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


@register.simple_tag
def moment(at: datetime | None, style: str = "relative", empty: str = "—") -> str | SafeString:
    """A point in time. Styles: relative (absolute on hover), full (UTC on hover), both."""
    if at is None:
        return empty
    local, stamp = absolute(at), f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    machine, words = at.astimezone(UTC).isoformat(timespec="seconds"), relative(at, timezone.now())
    if style == "full":
        return format_html('<time datetime="{}" title="{}">{}</time>', machine, stamp, local)
    hover = f"{local} · {stamp}"
    ago = format_html('<time datetime="{}" title="{}" data-relative>{}</time>', machine, hover, words)
    if style == "relative":
        return ago
    return format_html(
        '<time datetime="{}" title="{}">{}</time> <span class="faint nowrap">({})</span>', machine, stamp, local, ago
    )


BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Macintosh", "CrOS", "Linux")


@register.filter
def browser(agent: str) -> str:
    """`Firefox on Linux`, from what a browser says of itself; its first words where it is none we know."""
    name = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((system for system in SYSTEMS if system in agent), "")
    known = " on ".join(filter(None, (name, system.replace("Macintosh", "Mac").replace("CrOS", "ChromeOS"))))
    return known or agent[:40] or "Unknown browser"


@register.filter
def amount(count: int | None) -> str:
    """Bytes: `1.4 GiB`; a dash for what is not known."""
    if count is None:
        return "—"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@register.filter
def duration(span: timedelta | float | None) -> str:
    """`8 s`, `1 min 20 s`, `3 h 5 min`, `2 days`; a dash for what is not known."""
    if span is None:
        return "—"
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s" if seconds % 60 else f"{seconds // 60} min"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min" if seconds % 3600 >= 60 else f"{seconds // 3600} h"
    days = round(seconds / 86_400)
    return f"{days} day{'s' if days > 1 else ''}"


@register.simple_tag
def elapsed(start: datetime | None, end: datetime | None = None) -> str:
    """From `start` to `end`, or until now."""
    return duration(((end or timezone.now()) - start) if start else None)


# Parts of pages


@register.inclusion_tag("components/progress.html")
def progress(done: int | None, total: int | None, what: str = "items", label: str = "Progress") -> dict[str, Any]:
    """A bar; indeterminate while `total` is not known."""
    total = total or 0
    done = min(done or 0, total) if total else done or 0
    share = 100 * done // total if total else None  # 100 % is said when all is done, not a little before
    texts = {"done_text": f"{done:,}", "total_text": f"{total:,}"}
    return {"done": done, "total": total, "share": share, "what": what, "label": label, **texts}


@register.inclusion_tag("components/checks.html")
def check_steps(steps: list[Mapping[str, str]], label: str = "Checks") -> dict[str, Any]:
    """The steps of a check: [{"id", "title", "outcome", "cause", "remedy"}]."""
    shown = [{**step, "look": OUTCOMES.get(step.get("outcome", ""), "waiting")} for step in steps]
    return {"steps": [{**step, **_outcome(step["look"])} for step in shown], "label": label}


def _outcome(name: str) -> dict[str, str]:
    shown = STATES[name]
    return {"icon": shown.icon, "word": shown.label}


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, hint: str = "", kind: str = "") -> dict[str, Any]:
    """A form field with label, hint and error. `kind`: cards, one-column (cards), checklist; else from the widget."""
    if hint:
        bound.help_text = hint
    kind = kind or ("check" if isinstance(bound.field.widget, CheckboxInput) else "")
    return {"field": bound, "kind": kind, "descriptions": getattr(bound.field.widget, "descriptions", {})}


@register.filter
def lookup(table: Mapping[Any, Any], key: object) -> Any:
    """`table[key]`, or nothing."""
    return table.get(key, "") or table.get(str(key), "")


@register.simple_tag(takes_context=True)
def tab(context: Context, address: str, label: str, count: int | None = None, *, exact: bool = False) -> SafeString:
    """A link of `<nav class="tabs">`; current when the page is at `address` or, unless `exact`, below it."""
    path = context["request"].path
    here = path == address or (not exact and path.startswith(address))
    number = format_html(' <span class="count">{}</span>', count) if count is not None else ""
    return format_html('<a href="{}"{}>{}{}</a>', address, _current(here), label, number)


def _current(here: bool) -> SafeString:
    return SafeString(' aria-current="page"' if here else "")


@register.inclusion_tag("components/pages.html", takes_context=True)
def pages(context: Context, page: Page[Any], what: str = "items") -> dict[str, Any]:
    """Links to the other pages of a list; keeps the query's other parts."""
    return {"page": page, "what": what, "request": context["request"]}


@register.inclusion_tag("components/code.html")
def code_block(text: str, name: str, title: str = "") -> dict[str, str]:
    """Text to copy. `name` is the element's id, unique on the page; `title` says what it is."""
    return {"text": text, "name": name, "title": title}


@register.inclusion_tag("components/provisioning.html")
def sandbox_progress() -> dict[str, Any]:
    """How far the sandbox is, while there is one that is not ready; nothing otherwise."""
    return {"sandbox": provisioning.read()}


# The frame


@register.simple_tag(takes_context=True)
def verbs_on(context: Context, row: Model) -> frozenset[Verb]:
    """`{% verbs_on cluster as verbs %}{% if "cluster.update" in verbs %}…`: a page offers what its viewer may do.

    One query for each request, however many rows. Inside a partial it must be asked for again.
    """
    return held_in(context["request"]).verbs_on(row)


@register.simple_tag(takes_context=True)
def frame(context: Context) -> navigation.Frame:
    """`{% frame as frame %}`: project, tenants and menus for this page and person."""
    request = context.get("request")
    return navigation.frame_for(request, context.get("project"), context.get("section") or "")
