"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from sandbox import meter
from sandbox.state import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(0, 4, "a"), "[------------------------]   0% a"),
        (Progress(1, 4, "a"), "[######------------------]  25% a"),
        (Progress(4, 4, "a"), "[########################] 100% a"),
        (Progress(9, 4, "a"), "[########################] 100% a"),
        (Progress(0, 0, "downloading"), "downloading …"),
    ],
)
def test_the_bar(progress: Progress, expected: str) -> None:
    assert meter.line(progress) == expected


def test_a_terminal_gets_one_line_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    shown = meter.Meter(out)
    shown.show(Progress(1, 2, "a step with a name too long for this terminal"))
    shown.finish()
    assert out.getvalue() == "\r" + meter.line(Progress(1, 2, ""))[:19] + "\x1b[K\r\x1b[K"


def test_elsewhere_a_line_per_step_and_one_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("sandbox.meter.time.monotonic", lambda: now)
    out = io.StringIO()
    shown = meter.Meter(out)
    for done in (1, 2, 3):
        shown.show(Progress(done, 9, f"building Go tools {done}/9"))
    now = 111.0
    shown.show(Progress(4, 9, "building Go tools 4/9"))
    shown.show(Progress(0, 8, "starting harbor-east"))
    shown.finish()
    assert out.getvalue() == "building Go tools 1/9\nbuilding Go tools 4/9\nstarting harbor-east\n"
