"""Everything that can go wrong, grouped by what the caller can do about it.

    ConsoleError                message may be shown to a person
    ├── BadInput                the person can mend it; `field` says where
    ├── NotVisible              there is no such thing, or not for this person (HTTP 404)
    ├── Forbidden               the person sees it but may not do this (HTTP 403)
    ├── Refused                 the other side said no; repeating the same request will not help
    │   ├── SignInRefused       wrong, expired or revoked credentials (401, SignatureDoesNotMatch)
    │   ├── NotPermitted        signed in, but this action is not granted (403)
    │   ├── Missing             the thing is not there (404)
    │   ├── AlreadyThere        a thing of that name exists (409 on create)
    │   └── Changed             somebody changed it meanwhile (409 on update)
    ├── Unanswered              the request went out, no answer came: it may have happened. LOOK before repeating
    └── TryLater                it did not happen; a later try may succeed; `retry_after` in seconds
        ├── Unreachable         no connection: name, route, port, TLS
        └── Busy                429 or 503 from the other side

Gateways (`console.kube`, `backups.velero`, `backups.storage`) raise nothing else: SDK exceptions are translated where
they appear and chained with `from`. A message is one or two sentences for a person: what is wrong, then what to do. It
never carries a secret, and text that came from outside is cut by `clip`.
"""

from __future__ import annotations

from console.lib.text import storable

LONGEST_FOREIGN_TEXT = 400


class ConsoleError(Exception):
    """Base of all expected failures. `str(error)` is the message for a person."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def sentence(self) -> str:
        """The message and what to do about it, as one text."""
        return f"{self.message} {self.remedy}".strip()


class BadInput(ConsoleError):
    """What was typed cannot be used. `field` is the form field it belongs to, empty for the whole form."""

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field


class NotVisible(ConsoleError):
    """Nothing of that kind exists for this person."""


class Forbidden(ConsoleError):
    """The person sees the object but may not do this to it."""


class Refused(ConsoleError):
    """The other side answered, and the answer was no."""


class SignInRefused(Refused):
    """The other side does not accept the credentials."""


class NotPermitted(Refused):
    """The credentials are good but do not allow this action."""


class Missing(Refused):
    """The thing asked for does not exist on the other side."""


class AlreadyThere(Refused):
    """A thing of that name exists on the other side."""


class Changed(Refused):
    """The thing was changed by somebody else since it was read."""


class Unanswered(ConsoleError):
    """The request was sent and no usable answer came back: whether it took effect is unknown."""


class TryLater(ConsoleError):
    """The request did not take effect; trying again later may work. `retry_after` is in seconds."""

    def __init__(self, message: str, *, remedy: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class Unreachable(TryLater):
    """No connection could be made."""


class Busy(TryLater):
    """The other side asked to be left alone for a moment."""


def clip(text: object, longest: int = LONGEST_FOREIGN_TEXT) -> str:
    """Foreign text on one line, cut to `longest` characters, such as any row can hold."""
    line = " ".join(storable(str(text)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
