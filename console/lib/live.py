"""Pages that stay live by polling: the same address answers with the page, or with one named part of it.

static/js/live.js asks with the header `Live`, waits as long as `Live-Interval` says, and sends back the ETag, so that
a part that did not change costs 304 and no body. Where somebody has just clicked, the answer is held back for a moment
until there is something new: that is seen sooner, and costs less than to render the same again and again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

SOON_MS = 20  # somebody has just clicked and looks on; the answer is held back, see wait_for_news()
BUSY_MS = 300  # something on the page runs: a change is seen within half a second
IDLE_MS = 5000
HELD = 0.3  # seconds
LOOK_EVERY = 0.01
TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')


def wanted(request: HttpRequest) -> bool:
    """Whether the browser asks for the live part only."""
    return "Live" in request.headers


def interval(busy: bool, soon: bool = False) -> int:
    """Milliseconds until the next question."""
    return SOON_MS if soon else BUSY_MS if busy else IDLE_MS


def wait_for_news(request: HttpRequest, seen: str, look: Callable[[], str]) -> bool:
    """Hold the answer back while `look` gives what the browser has `seen`; whether there is something else now.

    `seen` is the `stamp` of the answer before, which the browser sends back: whoever has not seen it waits for nothing.
    """
    until = time.monotonic() + HELD
    if not wanted(request) or f'.{seen}"' not in request.headers.get("If-None-Match", ""):
        return False
    while (same := look() == seen) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    return not same


def unchanged(request: HttpRequest, stamp: str) -> HttpResponse | None:
    """304 where what the browser has bears this `stamp`: for parts that cost much to make, and change with it alone."""
    told = request.headers.get("If-None-Match", "")
    if not wanted(request) or not stamp or f'.{stamp}"' not in told:
        return None
    response = HttpResponseNotModified()
    response["ETag"], response["Live-Interval"], response["Cache-Control"] = told, str(interval(busy=False)), "no-store"
    patch_vary_headers(response, ["Live"])
    return response


def page_response(  # noqa: PLR0913 - a page, its live part and their pace
    request: HttpRequest,
    template: str,
    part: str,
    context: dict[str, Any],
    *,
    busy: bool,
    soon: bool = False,
    stamp: str = "",
) -> HttpResponse:
    """The page `template`, or its partial `part` when the browser asks for that. The template gets `live_interval`."""
    if wanted(request):
        return fragment_response(request, f"{template}#{part}", context, busy=busy, soon=soon, stamp=stamp)
    response = render(request, template, {**context, "live_interval": interval(busy, soon)})
    patch_vary_headers(response, ["Live"])
    return response


def fragment_response(  # noqa: PLR0913 - a live part, its pace and its stamp
    request: HttpRequest, template: str, context: dict[str, Any], *, busy: bool, soon: bool = False, stamp: str = ""
) -> HttpResponse:
    """The fragment `template` (`page.html#part`), or 304 when the browser has it already.

    `busy` says whether something in it runs, `soon` that it is about to end: they set the pace of the next question.
    `stamp` is for wait_for_news().
    """
    body = render_to_string(template, context, request)
    lasting = TOKEN.sub(r"\1", body)  # the CSRF token is another one in every answer
    etag = f'"{hashlib.sha256(lasting.encode()).hexdigest()[:32]}.{stamp}"'
    same = etag in request.headers.get("If-None-Match", "")
    response = HttpResponseNotModified() if same else HttpResponse(body)
    response["ETag"], response["Live-Interval"], response["Cache-Control"] = etag, str(interval(busy, soon)), "no-store"
    patch_vary_headers(response, ["Live"])
    return response
