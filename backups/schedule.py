"""When a policy runs: its options as Velero's expression, the next runs, and the same in words.

Pure: no Django, no I/O. Runs are computed as Velero computes them, which is what counts: netresearch/go-cron v0.15.0
(spec.go Next) since Velero 1.18.3, in the zone that `CRON_TZ=` names. Of each field of a custom schedule there is one
value or every one, and weekdays are never mixed with days of the month, so that robfig/cron of older Veleros agrees.

Where clocks change (compared run by run with go-cron; it skips one run a year on Lord Howe Island, whose clocks move by
half an hour, and may run once too often in Havana, where midnight is skipped; neither is imitated):
- A time that is skipped in spring comes an hour later, on the same day; a midnight that is skipped has no run.
- A time that comes twice in autumn runs twice, as it does in Velero; midnight rarely is one.
- *Every two weeks* is no cron expression but 336 hours after the last run, which is counted from an anchor: the moment
  336 hours before the next midnight due, whatever the clocks do in between (`anchor`).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from itertools import count, islice
from zoneinfo import ZoneInfo, available_timezones

from console.lib.errors import BadInput

EVERY_TWO_WEEKS = "@every 336h"
PERIOD = timedelta(hours=336)
LATE = timedelta(hours=2)  # a run is this much younger than the one before the next, whatever the clocks did
SEARCHED_YEARS = 9  # from one 29 February to the next, 2100 left out
LEAP_YEAR = 2024
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Timing(StrEnum):
    """The five options of *Backup schedule*."""

    WEEKLY = "weekly"
    TWO_WEEKS = "two_weeks"
    MONTHLY = "monthly"
    TWO_MONTHS = "two_months"
    CUSTOM = "custom"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When to run. Month, day, hour and minute count for CUSTOM alone, None meaning every one; `first_day` is the day
    of the first run of TWO_WEEKS. `zone` is a name of the IANA database."""

    timing: Timing
    zone: str = "UTC"
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    first_day: date | None = None

    @property
    def is_anchored(self) -> bool:
        """Whether it counts from the last run and not by the calendar."""
        return self.timing == Timing.TWO_WEEKS


_PRESETS = {Timing.WEEKLY: "0 0 * * 0", Timing.MONTHLY: "0 0 1 * *", Timing.TWO_MONTHS: "0 0 1 */2 *"}


@cache
def _known_zones() -> frozenset[str]:
    """Looked up once: it is many files."""
    return frozenset(available_timezones())


def check(plan: Plan) -> None:
    """Raises BadInput with the field at fault for what never runs, or cannot be told."""
    if plan.zone not in _known_zones():
        raise BadInput("This time zone is not known.", field="time_zone", remedy="Choose one from the list.")
    if plan.is_anchored and plan.first_day is None:
        raise BadInput("Choose the day of the first run.", field="first_day")
    for field, least, most in (("month", 1, 12), ("day", 1, 31), ("hour", 0, 23), ("minute", 0, 59)):
        value = getattr(plan, field)
        if value is not None and not least <= value <= most:
            raise BadInput(f"The {field} must be from {least} to {most}, or every one.", field=field)
    if plan.month and plan.day and plan.day > monthrange(LEAP_YEAR, plan.month)[1]:
        name = MONTHS[plan.month - 1]
        raise BadInput(f"{name} never has a {ordinal(plan.day)}, so this would never run.", field="day")


def expression(plan: Plan) -> str:
    """For `spec.schedule` of a Velero Schedule. The zone is always said: a server's own may be another one."""
    if plan.is_anchored:
        return EVERY_TWO_WEEKS
    return f"CRON_TZ={plan.zone} {_PRESETS.get(plan.timing) or _custom(plan)}"


def _custom(plan: Plan) -> str:
    values = (plan.minute, plan.hour, plan.day, plan.month)
    return " ".join("*" if value is None else str(value) for value in values) + " *"


def read_expression(text: str) -> Plan | None:
    """The plan that `text` says, of an expression somebody else wrote; None for what no option can say.

    *Every two weeks* comes without its zone and its first day.
    """
    if text == EVERY_TWO_WEEKS:
        return Plan(timing=Timing.TWO_WEEKS)
    zone, fields = _split(text)
    if fields is None or zone not in _known_zones():
        return None
    for timing, preset in _PRESETS.items():
        if fields == preset.split():
            return Plan(timing=timing, zone=zone)
    return _read_custom(zone, fields)


def _split(text: str) -> tuple[str, list[str] | None]:
    zone, fields = "UTC", text.split()
    if fields and "=" in fields[0]:
        key, _, zone = fields.pop(0).partition("=")
        if key not in ("TZ", "CRON_TZ"):
            return "", None
    return zone, fields if len(fields) == 5 else None


def _read_custom(zone: str, fields: list[str]) -> Plan | None:
    if fields[4] != "*" or not all(field == "*" or field.isdecimal() for field in fields):
        return None
    minute, hour, day, month = (None if field == "*" else int(field) for field in fields[:4])
    plan = Plan(timing=Timing.CUSTOM, zone=zone, month=month, day=day, hour=hour, minute=minute)
    try:
        check(plan)
    except BadInput:
        return None
    return plan


# Runs


def next_runs(plan: Plan, after: datetime, how_many: int = 5) -> list[datetime]:
    """The first moments after `after` at which it runs, in UTC; fewer where there are no more."""
    return list(islice(runs(plan, after), how_many))


def next_run(plan: Plan, after: datetime) -> datetime | None:
    """The first moment after `after`; None where it never runs."""
    return next(runs(plan, after), None)


def runs(plan: Plan, after: datetime) -> Iterator[datetime]:
    """Every moment after `after` at which it runs, in UTC and in order. One that never runs has none."""
    if plan.is_anchored:
        yield from _anchored_runs(plan, after.astimezone(UTC))
        return
    moment = _next(plan, after.astimezone(UTC))
    while moment is not None:
        yield moment
        moment = _next(plan, moment)


def _anchored_runs(plan: Plan, after: datetime) -> Iterator[datetime]:
    zone, first = ZoneInfo(plan.zone), plan.first_day or after.date()
    skipped = max(0, (after.date() - first).days // 14 - 1)
    for number in count(skipped):
        moment = at_wall(zone, datetime.combine(first + timedelta(days=14 * number), time.min))
        if moment > after:
            yield moment


def anchor(plan: Plan, last: datetime) -> datetime:
    """What Velero must take for the last run so that the next one comes at the midnight due.

    `last` is what it takes for it now: a run, or an anchor from before, up to an hour beside a midnight.
    """
    due = next_run(plan, last + LATE)
    assert due  # an anchored plan has no end
    return due - PERIOD


def _next(plan: Plan, after: datetime) -> datetime | None:
    """As go-cron has it: month, day, hour and minute are moved on in turn until each fits."""
    zone = ZoneInfo(plan.zone)
    wanted = _Wanted.of(plan)
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    last_year = after.year + SEARCHED_YEARS
    while (local := moment.astimezone(zone)).year <= last_year:
        if not wanted.takes_day(local):
            moment = _day_after(zone, local)
        elif not wanted.takes(local.hour, wanted.hour):
            moment, caught_up = _hour_after(zone, local, wanted)
            if caught_up:
                return moment + timedelta(minutes=wanted.minute or 0)
        elif local.minute < (due := local.minute if wanted.minute is None else wanted.minute):
            moment += timedelta(minutes=due - local.minute)
        elif local.minute > due:
            moment += timedelta(minutes=60 - local.minute)
        else:
            return moment
    return None


@dataclass(frozen=True)
class _Wanted:
    """What each field of a moment must be; None for every value. `every_second_month` is January, March, and so on."""

    month: int | None
    day: int | None
    hour: int | None
    minute: int | None
    sunday: bool = False
    every_second_month: bool = False

    @classmethod
    def of(cls, plan: Plan) -> _Wanted:
        if plan.timing == Timing.CUSTOM:
            return cls(plan.month, plan.day, plan.hour, plan.minute)
        day = None if plan.timing == Timing.WEEKLY else 1
        return cls(None, day, 0, 0, plan.timing == Timing.WEEKLY, plan.timing == Timing.TWO_MONTHS)

    @staticmethod
    def takes(value: int, wanted: int | None) -> bool:
        return wanted is None or value == wanted

    def takes_day(self, local: datetime) -> bool:
        fits = self.takes(local.month, self.month) and self.takes(local.day, self.day)
        fits = fits and not (self.every_second_month and local.month % 2 == 0)
        return fits and not (self.sunday and local.weekday() != 6)


def _day_after(zone: ZoneInfo, local: datetime) -> datetime:
    return at_wall(zone, datetime.combine(local.date() + timedelta(days=1), time.min))


def _hour_after(zone: ZoneInfo, local: datetime, wanted: _Wanted) -> tuple[datetime, bool]:
    """The next full hour, and whether the hour that is wanted was skipped just before it by the clocks."""
    moment = local.astimezone(UTC) + timedelta(minutes=60 - local.minute)
    then = moment.astimezone(zone)
    return moment, then.hour - local.hour == 2 and wanted.takes(then.hour - 1, wanted.hour)


def at_wall(zone: ZoneInfo, wall: datetime) -> datetime:
    """The moment, in UTC, at which clocks there show `wall`; where they skip it, as much later as they skip."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


# Words


def in_words(plan: Plan) -> str:
    """`Every Sunday at midnight`, `Every year on 15 March at 02:30`; without the zone."""
    match plan.timing:
        case Timing.WEEKLY:
            return "Every Sunday at midnight"
        case Timing.TWO_WEEKS:
            day = f" on {WEEKDAYS[plan.first_day.weekday()]}" if plan.first_day else ""
            return f"Every two weeks{day} at midnight"
        case Timing.MONTHLY:
            return "Every month on the 1st at midnight"
        case Timing.TWO_MONTHS:
            return "Every two months on the 1st at midnight"
    words = f"{_day_in_words(plan)}, {_time_in_words(plan)}"
    return words[0].upper() + words[1:]


def _day_in_words(plan: Plan) -> str:
    month = MONTHS[plan.month - 1] if plan.month else ""
    if month and plan.day:
        leap = ", in leap years" if plan.day > monthrange(LEAP_YEAR - 1, plan.month or 1)[1] else ""
        return f"every year on {plan.day} {month}{leap}"
    if plan.day:
        missing = ", in months that have one" if plan.day > 28 else ""
        return f"every month on the {ordinal(plan.day)}{missing}"
    return f"every day in {month}" if month else "every day"


def _time_in_words(plan: Plan) -> str:
    if plan.hour is not None and plan.minute is not None:
        return f"at {plan.hour:02}:{plan.minute:02}"
    if plan.hour is not None:
        return f"every minute from {plan.hour:02}:00 to {plan.hour:02}:59"
    return "every minute" if plan.minute is None else f"every hour at {plan.minute:02} past"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def zones() -> list[str]:
    """What is offered: UTC, and the places of the IANA database."""
    places = (name for name in _known_zones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return ["UTC", *sorted(places)]
