"""Words and signs of the templates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.template import Context, Template
from django.utils import timezone

from backups.lifecycle import State
from backups.models import LocationState
from backups.velero.volumes import Method
from console.templatetags import ui
from workspaces.models.cluster import CheckState, ClusterState

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
ROLES = {"ok", "busy", "warn", "bad", "odd", "quiet"}


def render(source: str, **context: Any) -> str:
    return Template("{% load ui %}" + source).render(Context(context)).strip()


@pytest.mark.parametrize("state", [*Method, *State, *ClusterState, *LocationState, *CheckState], ids=str)
def test_every_state_of_a_row_has_a_look(state: Any) -> None:
    assert str(state.value) in ui.STATES
    assert ui.look(state).label[0].isupper() and ui.look(state).role in ROLES


def test_no_state_but_the_good_ones_looks_good() -> None:
    good = {name for name, look in ui.STATES.items() if look.role == "ok"}
    saved = set(Method) - {Method.NOT_SAVED, Method.UNKNOWN}
    assert good == {"completed", "healthy", "available", "passed", "active", "ready", "done"} | saved


def test_a_word_nobody_knows_is_shown_verbatim_and_escaped() -> None:
    shown = render("{% badge state %}", state="<b>PhaseOfTomorrow</b>")
    assert "&lt;b&gt;PhaseOfTomorrow&lt;/b&gt;" in shown and 'class="badge odd"' in shown


def test_no_state_at_all_is_unknown() -> None:
    assert ui.look("").label == "Unknown" == ui.look(None).label


def test_a_reason_is_on_the_badge_and_escaped() -> None:
    assert 'title="&quot;&gt;&lt;script&gt;"' in render("{% badge 'failed' title=why %}", why='"><script>')


def test_every_icon_that_is_used_is_drawn() -> None:
    drawn = set(ui.icon_names())
    asked = {look.icon for look in ui.STATES.values()}
    for file in Path("templates").rglob("*.html"):
        asked |= set(re.findall(r'{%\s*icon "([a-z-]+)"', file.read_text()))
        asked |= set(re.findall(r'empty\.html" with [^%]*sign="([a-z-]+)"', file.read_text()))
    assert asked <= drawn
    assert "passed" in drawn and len(drawn) > 40


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (10, "10 s ago"),
        (59, "50 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "1 day ago"),
        (2 * 86_400, "2 days ago"),
        (40 * 86_400, "1 month ago"),
        (800 * 86_400, "2 years ago"),
        (-30, "in 30 s"),
        (-(30 * 86_400 - 2), "in 30 days"),
        (-(7 * 86_400 - 1), "in 7 days"),
    ],
)
def test_how_long_ago(gap: int, words: str) -> None:
    assert ui.relative(NOW - timedelta(seconds=gap), NOW) == words


def test_a_moment_is_in_the_viewers_zone_with_utc_on_hover() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        shown = render("{% moment at 'full' %}", at=NOW)
    assert ">29 Mar 2026, 14:00 CEST<" in shown
    assert 'title="2026-03-29 12:00:00 UTC"' in shown and 'datetime="2026-03-29T12:00:00+00:00"' in shown


def test_no_moment_is_a_dash() -> None:
    assert render("{% moment at %}", at=None) == "—"
    assert render("{% elapsed at %}", at=None) == "—"


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, "—"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300 * 1024, "300 KiB"), (3 * 1024**4, "3.0 TiB")],
)
def test_amounts(count: int | None, words: str) -> None:
    assert ui.amount(count) == words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (None, "—"),
        (timedelta(seconds=-3), "0 s"),
        (8.9, "8 s"),
        (timedelta(seconds=80), "1 min 20 s"),
        (120, "2 min"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=14), "14 days"),
    ],
)
def test_durations(span: timedelta | float | None, words: str) -> None:
    assert ui.duration(span) == words


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 0, "Starting"),
        (None, None, "Starting"),
        (7, 0, "7 items"),
        (42, 160, "42 of 160 items"),
        (1999, 2000, "99 %"),
        (5, 4, "4 of 4 items"),
    ],
)
def test_progress(done: int | None, total: int | None, shown: str) -> None:
    assert shown in render("{% progress done total %}", done=done, total=total)


def test_progress_without_an_end_has_no_value() -> None:
    assert "<progress aria-label" in render("{% progress 3 0 %}")


def test_steps_of_a_check_say_cause_and_remedy() -> None:
    steps = [{"id": "tls", "title": "TLS", "outcome": "failed", "cause": "Self-signed.", "remedy": "Paste its CA."}]
    shown = render("{% check_steps steps %}", steps=steps)
    assert 'class="failed"' in shown and "Self-signed." in shown and "Paste its CA." in shown and "Failed" in shown


def test_an_outcome_nobody_knows_is_waiting_not_passed() -> None:
    assert 'class="waiting"' in render("{% check_steps steps %}", steps=[{"id": "x", "title": "X", "outcome": "odd"}])


class OneField(forms.Form):
    name = forms.CharField(help_text="A hint.")
    note = forms.CharField(required=False)


def test_a_field_names_its_hint_and_its_error() -> None:
    shown = render("{% field form.name %}", form=OneField({"name": ""}))
    assert 'aria-describedby="id_name_helptext id_name_error"' in shown and 'aria-invalid="true"' in shown
    assert 'id="id_name_helptext"' in shown and 'id="id_name_error"' in shown


def test_what_may_be_left_out_says_so() -> None:
    assert "optional" in render("{% field form.note %}", form=OneField())
    assert "optional" not in render("{% field form.name %}", form=OneField())


@pytest.mark.parametrize(
    ("path", "exact", "current"),
    [("/a/", True, True), ("/a/b/", True, False), ("/a/b/", False, True), ("/ab/", False, False)],
)
def test_a_tab_is_current_at_its_address_and_below(path: str, exact: bool, current: bool) -> None:
    shown = render("{% tab '/a/' 'A' exact=exact %}", request=SimpleNamespace(path=path), exact=exact)
    assert ('aria-current="page"' in shown) == current


@pytest.mark.parametrize(
    ("state", "position", "label"),
    [
        ("submitted", 0, "Queued"), ("submitted", 1, "Queued, next in line"), ("submitted", 2, "Queued, 2nd in line"),
        ("submitted", 3, "Queued, 3rd in line"), ("submitted", 11, "Queued, 11th in line"),
        ("submitted", 22, "Queued, 22nd in line"), ("submitted", 112, "Queued, 112th in line"),
        ("running", 3, "Running"),
    ],
)  # fmt: skip
def test_a_place_in_the_queue_is_said(state: str, position: int, label: str) -> None:
    wish = SimpleNamespace(state=state, queue_position=position, message="")
    assert ui.wish_label(wish) == label
    assert f">{label}</span>" in ui.wish_badge(wish)
