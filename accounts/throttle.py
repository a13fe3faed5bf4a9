"""How often somebody may guess: counted in the database, before anything is hashed or sent. Only door to `axes`.

1. An attempt is taken from two brakes: one of this (person, address), one of the address alone. Either one used up
   refuses it, and nothing is hashed. The person themselves gets in from any other address.
2. It is counted before it is tried, so that a thousand guesses at the same moment get no further than one by one.
3. What succeeds is given back: the person's brake is new again, the address has one attempt more.
4. A person's brake is free `COOL_OFF` after the last attempt that was let through, an address's `COOL_OFF` after the
   first one. What is refused meanwhile makes nobody wait longer.
5. People type passwords into the field for the address: what is kept of it is a keyed hash. An address of IPv6 stands
   for its /64, which one machine has to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.db.models import Case, F, Q, QuerySet, When
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from console.lib.errors import TryLater
from console.lib.middleware import client_address

COOL_OFF = timedelta(minutes=15)
GUESSES = 10  # of one person's password, from one address
GUESSES_OF_ANYBODY = 100  # from one address, which may be that of a whole office
LETTERS = 3  # to one person, asked for from one address
LETTERS_TO_ANYBODY = 30
NOWHERE = "0.0.0.0"  # noqa: S104 - stands for an address nobody told us, such as that of a Unix socket
NO_TIME = timedelta()


class TooManyAttempts(TryLater):
    """Says how long to wait, and nothing about whether there is such a person."""

    def __init__(self, wait: timedelta) -> None:
        minutes = max(1, -(-wait // timedelta(minutes=1)))
        words = "a minute" if minutes == 1 else f"{minutes} minutes"
        super().__init__(f"Too many attempts from here. Try again in {words}.", retry_after=wait.total_seconds())


@dataclass(frozen=True)
class Brake:
    """`most` attempts of one kind, in a row of their own.

    Used up, it is free again `COOL_OFF` after the last one or, `from_first`, after the first.
    """

    whose: str
    block: str
    most: int
    from_first: bool = False

    @property
    def _row(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = AccessAttempt.objects.filter(username=self.whose, ip_address=self.block, user_agent="")
        return rows

    def wait(self) -> timedelta:
        """How long until it lets anybody through; nothing while it does."""
        full = self._row.filter(failures_since_start__gte=self.most).values_list("attempt_time", flat=True).first()
        return max(full + COOL_OFF - timezone.now(), NO_TIME) if full else NO_TIME

    def take(self) -> bool:
        """Count one attempt, unless they are used up; whether it was counted."""
        now = timezone.now()
        over = Q(attempt_time__lte=now - COOL_OFF)
        AccessAttempt.objects.get_or_create(
            username=self.whose, ip_address=self.block, user_agent="", defaults={"failures_since_start": 0}
        )
        free = self._row.filter(over | Q(failures_since_start__lt=self.most))
        moved = Case(When(over, then=now), default=F("attempt_time")) if self.from_first else now
        counted = Case(When(over, then=1), default=F("failures_since_start") + 1)
        return bool(free.update(failures_since_start=counted, attempt_time=moved))

    def give_back(self) -> None:
        """What was counted last was no guess."""
        if self.from_first:
            counted = self._row.filter(failures_since_start__gt=0)
            counted.update(failures_since_start=F("failures_since_start") - 1)
        else:
            self._row.delete()


def guesses(request: HttpRequest, email: str) -> Sequence[Brake]:
    """The brakes on guessing this person's password from where the request comes."""
    block = block_of(client_address(request))
    return Brake(key_of(email), block, GUESSES), Brake("anybody", block, GUESSES_OF_ANYBODY, from_first=True)


def letters(request: HttpRequest, email: str) -> Sequence[Brake]:
    """The brakes on letters that anybody can have sent to this person."""
    block = block_of(client_address(request))
    theirs = Brake(key_of(email, "letters"), block, LETTERS)
    return theirs, Brake("letters to anybody", block, LETTERS_TO_ANYBODY, from_first=True)


def take(brakes: Sequence[Brake]) -> None:
    """Count one attempt on each. Raises TooManyAttempts, after which nothing more was counted than had to be."""
    if wait := wait_for(brakes):
        raise TooManyAttempts(wait)
    for brake in brakes:
        if not brake.take():  # somebody was faster since we looked
            raise TooManyAttempts(brake.wait() or COOL_OFF)


def wait_for(brakes: Sequence[Brake]) -> timedelta:
    """How long until all of them let somebody through."""
    return max(brake.wait() for brake in brakes)


def give_back(brakes: Sequence[Brake]) -> None:
    """The attempt was a right one."""
    for brake in brakes:
        brake.give_back()


def purge() -> None:
    """Forget what has cooled off."""
    AccessAttempt.objects.filter(attempt_time__lte=timezone.now() - COOL_OFF).delete()


def key_of(email: str, what: str = "guesses") -> str:
    """Stands for what was typed as an address: the same for the same person, and not to be read back."""
    return salted_hmac(f"accounts.throttle.{what}", email.strip().lower(), algorithm="sha256").hexdigest()


def block_of(address: str) -> str:
    """What is counted as one address."""
    try:
        found = ip_address(address)
    except ValueError:
        return NOWHERE
    return str(found) if found.version == 4 else str(ip_network((int(found), 64), strict=False).network_address)


class Throttle(AxesDatabaseHandler):  # type: ignore[misc] # it has no types
    """Asked by django-axes's backend, which comes before any that hashes, whoever calls authenticate()."""

    def is_allowed(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        """Counts the attempt. A refused one leaves `too_many` on the request."""
        try:
            take(guesses(request, str((credentials or {}).get("username") or "")))
        except TooManyAttempts as error:
            request.too_many = error  # type: ignore[attr-defined]
            return False
        return True

    def user_login_failed(self, sender: Any, credentials: Any, request: Any = None, **kwargs: Any) -> None:
        """Counted already, before it was tried."""

    def user_logged_in(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        """accounts/signin.py gives back what was counted: a password may be asked for without signing in, too."""

    def user_logged_out(self, sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
        """Nothing to count."""

    def reset_attempts(self, *, ip_address: str = "", username: str = "", ip_or_username: bool = False) -> int:
        """For `manage.py axes_reset…`: lets somebody in at once."""
        rows = AccessAttempt.objects.all()
        if username:
            rows = rows.filter(username__in=[key_of(username), key_of(username, "letters")])
        if ip_address:
            rows = rows.filter(ip_address=block_of(ip_address))
        removed: int = rows.delete()[0]
        return removed
