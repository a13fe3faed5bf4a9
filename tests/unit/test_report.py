"""A check that cannot fail is red, and what is written down is what was printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import Figure, Report, put_section, quantile


def test_a_figure_outside_its_bound_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("R1", "kills", full=False)
    report.say("lost", 1, "= 0", n=300)
    assert report.finish() == 1
    assert "R1 lost=1 n=300 bound==0 OUTSIDE" in capsys.readouterr().out


@pytest.mark.parametrize(("bound", "value", "good"), [("<= 1.1", 1.1, True), ("<= 1.1", 1.2, False), ("= 0", 0, True)])
def test_bounds(bound: str, value: float, good: bool) -> None:
    assert Figure("ratio", value, bound).good is good


def test_what_is_not_a_number_is_outside() -> None:
    assert not Figure("ratio", float("nan"), "<= 1").good


def test_a_control_that_passes_makes_the_check_red() -> None:
    report = Report("R1", "kills", full=False)
    report.say("lost", 0, "= 0")
    assert report.finish() == 0
    report.control("plain queue", failed=False, detail="lost 0 of 50")
    assert report.finish() == 1


def test_no_figure_is_no_pass() -> None:
    assert Report("R1", "kills", full=False).finish() == 1


def test_quantiles() -> None:
    assert quantile([3, 1, 2, 4], 0.5) == 2
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([7], 0.99) == 7
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_sections_are_replaced_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "measured.md"
    for id, value in [("P10", 1), ("R1", 2), ("P2", 3), ("P10", 4)]:
        report = Report(id, "a title")
        report.say("metric", value)
        put_section(id, report.section(), path)
    text = path.read_text()
    assert [line.split()[1] for line in text.splitlines() if line.startswith("## ")] == ["P2", "P10", "R1"]
    assert "| metric | 4 |" in text
    assert "| metric | 1 |" not in text
