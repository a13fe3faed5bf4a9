"""S8 and what surrounds every page: deployment checks, content policy with nonces, frame, referrer, cookies, HSTS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

from bench.access.database import in_memory
from bench.report import Report
from bench.stack import CHECKOUT

if TYPE_CHECKING:
    from http.cookies import Morsel

    from django.test import Client

    from bench.access.world import World

HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}
DIRECTIVES = ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'")
INLINE = re.compile(
    r"<[^>]*\s(?:style|on[a-z]+)\s*=|<(?:script|style)(?![^>]*\s(?:src|nonce)=)|javascript:", re.IGNORECASE
)
NONCE = re.compile(r'nonce="([^"]+)"')
WAYS: list[dict[str, str]] = [{}, {"Live": "1"}]
BEHIND_TLS = {"BEHIND_TLS": "1", "DEBUG": "0", "OUTBOUND_ALLOW_LOOPBACK": "0"}


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes."""
    report = Report("S8", "what surrounds every page", full)
    report.say("deploy_findings", _deploy(BEHIND_TLS), "= 0")
    report.control(
        "a console without TLS", failed=_deploy(BEHIND_TLS | {"BEHIND_TLS": "0"}) > 0, detail="check --deploy says so"
    )
    with in_memory(**BEHIND_TLS):
        from django.test import Client

        from bench.access.world import make

        world, browser = make(), Client(raise_request_exception=False)
        browser.force_login(world.people["T"])
        addresses = _addresses(world)
        asked, wrong = len(addresses) * len(WAYS), judged(addresses, browser)
        report.say("answers", asked, ">= 100")
        report.say("wrong_answers", len(wrong), "= 0", n=asked)
        report.say("wrong_cookies", len(wrong_cookies()), "= 0")
        print("\n".join(wrong[:20]), flush=True)
        with mock.patch("csp.middleware.CSPMiddleware.process_response", lambda self, request, response: response):
            unguarded = len(judged(addresses, browser))
        report.control("pages without a content policy", failed=unguarded == asked, detail=f"{unguarded} answers")
    return report


def _deploy(variables: dict[str, str]) -> int:
    """1 when `check --deploy` finds anything."""
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | variables, capture_output=True, check=False)
    return int(done.returncode != 0)


def judged(addresses: list[str], browser: Client) -> list[str]:
    """What was wrong about which answer: of each page the whole and its live part."""
    found = []
    for address in addresses:
        for headers in WAYS:
            answer = browser.get(address, headers=headers, secure=True)
            found += [f"{address} {headers}: {said}" for said in _wrong(answer)][:1]
    return found


def _wrong(answer: Any) -> Iterator[str]:
    for name, value in HEADERS.items():
        if answer.headers.get(name) != value:
            yield f"{name} is {answer.headers.get(name)}"
    policy = answer.headers.get("Content-Security-Policy", "")
    if not all(directive in policy for directive in DIRECTIVES) or "unsafe" in policy:
        yield f"the policy is {policy or 'missing'}"
    if not answer.streaming and answer.headers.get("Content-Type", "").startswith("text/html"):
        yield from _wrong_nonces(answer.content.decode(), policy)


def _wrong_nonces(body: str, policy: str) -> Iterator[str]:
    if inline := INLINE.search(body):
        yield f"inline: {inline.group(0)}"
    used = set(NONCE.findall(body))
    if len(used) > 1 or any(f"'nonce-{nonce}'" not in policy for nonce in used):
        yield f"nonces {used}, which the policy does not name"


def _addresses(world: World) -> list[str]:
    """Of every page that a Tenant Admin may open, one that is not there, and the door."""
    from bench.access.matrix import Cell, address
    from bench.access.routes import ROUTES

    mine = [name for name, route in ROUTES.items() if "T" in (route.get or "") or route.get == "M"]
    return [*(address(world, Cell(name, "get", "T", "own"), "own") for name in mine), "/nowhere/", "/login/"]


def wrong_cookies() -> list[str]:
    """Which cookies of somebody who signs in another site or a script could get hold of."""
    from django.test import Client

    from tests.people import PASSWORD, person

    browser, who = Client(), person()
    browser.get("/login/", secure=True)
    browser.post("/login/", {"username": who.email, "password": PASSWORD}, secure=True)
    assert {"sessionid", "csrftoken"} <= browser.cookies.keys(), "nobody was signed in"
    return [name for name, cookie in browser.cookies.items() if not _is_guarded(name, cookie)]


def _is_guarded(name: str, cookie: Morsel[str]) -> bool:
    """The token is not a secret from the page's own scripts."""
    hidden = bool(cookie["httponly"]) or name == "csrftoken"
    return bool(cookie["secure"]) and cookie["samesite"] in ("Lax", "Strict") and hidden
