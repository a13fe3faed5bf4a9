"""People at work: they sign in over HTTP and ask for backups and restores, again when they got no answer.

Whoever gets no answer presses the button again: the same form, with the same submission. What was answered with a
redirect was accepted, and must not be lost; what was submitted twice must not be there twice.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

PATIENCE = 90.0  # seconds until somebody stops pressing the button
NAMESPACES = ("intranet",)
LIVE = re.compile(r'<live-fragment[^>]* interval="(\d+)"')


class NotSignedIn(Exception):
    """The console does not take the password."""


@dataclass(frozen=True)
class Answer:
    """What came back: the status, where it leads, the page, the seconds after which it asks again by itself."""

    status: int
    location: str = ""
    body: str = ""
    interval: float = 0.0
    etag: str = ""


@dataclass
class Asked:
    """One wish as its person knows it. `tries`: how often the button was pressed; `page`: where the answer led."""

    submission: uuid.UUID
    name: str
    began: float
    tries: int = 0
    status: int = 0
    answered: float = 0.0
    page: str = ""

    @property
    def accepted(self) -> bool:
        return self.status == http.client.FOUND


@dataclass
class Visitor:
    """A browser without a screen: cookies are kept, redirects are not followed.

    `overheard` is given the path, the headers and the body of every answer.
    """

    url: str
    timeout: float = 10.0
    cookies: SimpleCookie = field(default_factory=SimpleCookie)
    overheard: Callable[[str, bytes], None] = lambda path, answer: None

    def get(self, path: str, *, live: bool = False, etag: str = "") -> Answer:
        """A page, or its `live` part as its script asks for it that has shown the one of `etag`.

        Raises OSError or HTTPException without an answer.
        """
        return self._send("GET", path, {"Live": "1", "If-None-Match": etag} if live else {}, "")

    def post(self, path: str, fields: Mapping[str, object]) -> Answer:
        """A form with the token of this session. Raises as `get` does."""
        token = self.cookies["csrftoken"].value if "csrftoken" in self.cookies else ""
        form = urlencode({"csrfmiddlewaretoken": token, **fields}, doseq=True)
        return self._send("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, form)

    def sign_in(self, email: str, password: str) -> None:
        """Raises NotSignedIn."""
        self.get("/login/")
        if self.post("/login/", {"username": email, "password": password}).status != http.client.FOUND:
            raise NotSignedIn(email)

    def _send(self, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=self.timeout)
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        try:
            connection.request(method, path, body, {"Cookie": cookie, **headers})
            answer = connection.getresponse()
            for value in answer.headers.get_all("Set-Cookie", []):
                self.cookies.load(value)
            raw = answer.read()
            self.overheard(path, answer.headers.as_bytes() + raw)
            page = raw.decode()
            leads, etag = answer.headers.get("Location", ""), answer.headers.get("ETag", "")
            return Answer(answer.status, leads, page, _interval(answer.headers, page), etag)
        finally:
            connection.close()


def _interval(headers: http.client.HTTPMessage, page: str) -> float:
    """As static/js/live.js has it: the header of a live part, else the attribute in its page."""
    found = LIVE.search(page)
    return int(headers.get("Live-Interval") or (found.group(1) if found else 0)) / 1000


def insist(send: Callable[[], Answer], good: Sequence[int] = (200, 302, 422)) -> tuple[Answer, int]:
    """Send until an answer comes; it and how many tries it took. The last answer, or status 0, when patience ends."""
    until, tries, answer = time.monotonic() + PATIENCE, 0, Answer(0)
    while time.monotonic() < until:
        tries += 1
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = send()
            if answer.status in good:
                break
        time.sleep(0.2)
    return answer, tries


def ask_for_backup(  # noqa: PLR0913 - the form's fields
    visitor: Visitor,
    cluster: object,
    location: object,
    *,
    prefix: str = "load",
    cluster_resources: str = "never",
    namespaces: Sequence[str] = NAMESPACES,
) -> Asked:
    """*Back up now*, until it is answered."""
    asked = Asked(uuid.uuid4(), f"{prefix}-{uuid.uuid4().hex[:10]}", time.monotonic())
    fields = {
        "name": asked.name,
        "location": location,
        "keep": "7",
        "cluster_resources": cluster_resources,
        "others": " ".join(namespaces),
        "submission": asked.submission,
    }
    answer, asked.tries = insist(lambda: visitor.post(f"/clusters/{cluster}/backups/create/", fields))
    asked.status, asked.answered, asked.page = answer.status, time.monotonic(), answer.location
    return asked


def ask_for_restore(visitor: Visitor, backup: object, target: object) -> Asked:
    """*Restore* with its wizard: target, options, *Confirm Restore*; the draft is the submission."""
    began = time.monotonic()
    first, tries = insist(lambda: visitor.get(f"/backups/{backup}/restore/"), good=(302,))
    if not first.location:
        return Asked(uuid.uuid4(), "", began, tries)
    draft = first.location.rstrip("/").rsplit("/", 2)[-2]
    here = first.location.rstrip("/").rsplit("/", 1)[0]
    asked = Asked(uuid.UUID(draft), "", began, tries)
    steps: list[tuple[str, dict[str, object]]] = [
        ("target", {"target": target}),
        ("options", {"cluster_resources": "auto", "existing_objects": "none"}),
        ("review", {}),
    ]
    for slug, fields in steps:
        answer, tries = insist(lambda slug=slug, fields=fields: visitor.post(f"{here}/{slug}/", fields))  # type: ignore[misc]
        asked.tries += tries
        asked.status = answer.status
    asked.answered = time.monotonic()
    return asked


def pauses(seed: int, count: int, mean: float) -> list[float]:
    """Seconds between one wish and the next, the same for the same seed."""
    random_ = random.Random(seed)
    return [random_.expovariate(1 / mean) for _ in range(count)]
