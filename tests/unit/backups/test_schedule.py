"""When policies run, held against what Velero's own cron library answers (go-cron v0.15.0, asked with a Go program)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backups import schedule
from backups.schedule import Plan, Timing
from console.lib.errors import BadInput


def custom(zone: str = "UTC", **fields: Any) -> Plan:
    return Plan(timing=Timing.CUSTOM, zone=zone, **fields)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def written(moments: list[datetime]) -> list[str]:
    return [f"{moment:%m-%dT%H:%M}" for moment in moments]


# What go-cron says: after a moment, the next ones.
ANSWERS: list[tuple[Plan, str, str, list[str]]] = [
    (
        Plan(timing=Timing.WEEKLY, zone="Europe/Berlin"),
        "CRON_TZ=Europe/Berlin 0 0 * * 0",
        "2026-03-15T12:00",
        ["03-21T23:00", "03-28T23:00", "04-04T22:00"],
    ),
    (Plan(timing=Timing.MONTHLY), "CRON_TZ=UTC 0 0 1 * *", "2026-12-01T00:00", ["01-01T00:00", "02-01T00:00"]),
    (Plan(timing=Timing.TWO_MONTHS), "CRON_TZ=UTC 0 0 1 */2 *", "2026-11-23T08:00", ["01-01T00:00", "03-01T00:00"]),
    # skipped in spring: an hour later, the same day
    (
        custom("Europe/Berlin", hour=2, minute=30),
        "CRON_TZ=Europe/Berlin 30 2 * * *",
        "2026-03-28T12:00",
        ["03-29T01:30", "03-30T00:30"],
    ),
    # twice in autumn
    (
        custom("Europe/Berlin", hour=2, minute=30),
        "CRON_TZ=Europe/Berlin 30 2 * * *",
        "2026-10-24T12:00",
        ["10-25T00:30", "10-25T01:30", "10-26T01:30"],
    ),
    # a midnight that is skipped has no run
    (
        custom("Asia/Beirut", hour=0, minute=0),
        "CRON_TZ=Asia/Beirut 0 0 * * *",
        "2026-03-28T12:00",
        ["03-29T21:00", "03-30T21:00"],
    ),
    (custom(day=29, month=2, hour=1), "CRON_TZ=UTC * 1 29 2 *", "2026-11-23T08:00", ["02-29T01:00", "02-29T01:01"]),
    (custom(minute=15), "CRON_TZ=UTC 15 * * * *", "2026-11-23T08:15", ["11-23T09:15", "11-23T10:15"]),
]


@pytest.mark.parametrize(("plan", "expression", "after", "runs"), ANSWERS)
def test_expressions_and_runs_are_velero_s(plan: Plan, expression: str, after: str, runs: list[str]) -> None:
    assert schedule.expression(plan) == expression
    assert written(schedule.next_runs(plan, at(after), len(runs))) == runs
    assert schedule.read_expression(expression) == plan


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_two_weeks_are_fourteen_days_at_midnight_for_a_year(zone: str) -> None:
    """With Velero's arithmetic (last run + 336 h, seen up to a minute late) and the anchor set again after each run."""
    plan = Plan(timing=Timing.TWO_WEEKS, zone=zone, first_day=date(2026, 11, 29))
    last = schedule.anchor(plan, at("2026-11-23T08:00"))
    days: list[date] = []
    for number in range(27):
        due = last + timedelta(hours=336)
        local = due.astimezone(ZoneInfo(zone))
        assert (local.hour, local.minute) == (0, 0)
        days.append(local.date())
        ran = due + timedelta(seconds=number * 2)
        last = schedule.anchor(plan, ran)
        assert schedule.anchor(plan, last) == last  # looked at again before the next run
    assert days[0] == date(2026, 11, 29)
    assert all(later - earlier == timedelta(days=14) for earlier, later in pairwise(days))
    assert days == [
        moment.astimezone(ZoneInfo(zone)).date() for moment in schedule.next_runs(plan, at("2026-11-23"), 27)
    ]


def test_a_run_that_came_days_late_moves_no_later_one() -> None:
    plan = Plan(timing=Timing.TWO_WEEKS, zone="Europe/Berlin", first_day=date(2026, 11, 29))
    assert schedule.anchor(plan, at("2026-12-07T11:00")) + timedelta(hours=336) == at("2026-12-12T23:00")


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (custom(month=2, day=31, hour=0, minute=0), "day"),
        (custom(month=2, day=30), "day"),
        (custom(month=11, day=31), "day"),
        (custom(hour=24), "hour"),
        (custom("Mars/Olympus"), "time_zone"),
        (Plan(timing=Timing.TWO_WEEKS), "first_day"),
    ],
)
def test_what_never_runs_is_refused_at_its_field(plan: Plan, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        schedule.check(plan)
    assert refused.value.field == field


def test_whatever_is_not_refused_runs() -> None:
    for month in (None, *range(1, 13)):
        for day in (None, *range(1, 32)):
            plan = custom(month=month, day=day, hour=3, minute=0)
            try:
                schedule.check(plan)
            except BadInput:
                continue
            assert schedule.next_run(plan, at("2026-11-23")), plan


@pytest.mark.parametrize(
    "text",
    ["0 0 31 2 *", "@daily", "*/5 * * * *", "0 0 1 * 1", "CRON_TZ=Nowhere/Here 0 0 * * 0", "X=UTC 0 0 * * 0", ""],
)
def test_what_no_option_says_is_not_read(text: str) -> None:
    assert schedule.read_expression(text) is None


def test_words() -> None:
    assert schedule.in_words(custom(month=3, day=15, hour=2, minute=30)) == "Every year on 15 March, at 02:30"
    assert schedule.in_words(custom(month=2, day=29, hour=0, minute=0)).startswith("Every year on 29 February, in leap")
    assert schedule.in_words(custom(day=31, minute=5)) == (
        "Every month on the 31st, in months that have one, every hour at 05 past"
    )
    assert schedule.in_words(Plan(timing=Timing.TWO_WEEKS, first_day=date(2026, 11, 29))) == (
        "Every two weeks on Sunday at midnight"
    )
