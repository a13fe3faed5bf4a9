"""Pages that stay live by polling: the same address answers with the page, or with one named part of it.

static/js/live.js asks with the header `Live`, waits as long as `Live-Interval` says, and sends back the ETag, so that
a part that did not change costs 304 and no body.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

SOON_MS = 50  # somebody has just clicked and looks on
BUSY_MS = 300  # something on the page runs: a change is seen within half a second
IDLE_MS = 5000
TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')


def wanted(request: HttpRequest) -> bool:
    """Whether the browser asks for the live part only."""
    return "Live" in request.headers


def interval(busy: bool, soon: bool = False) -> int:
    """Milliseconds until the next question."""
    return SOON_MS if soon else BUSY_MS if busy else IDLE_MS


def page_response(  # noqa: PLR0913 - a page, its live part and their pace
    request: HttpRequest, template: str, part: str, context: dict[str, Any], *, busy: bool, soon: bool = False
) -> HttpResponse:
    """The page `template`, or its partial `part` when the browser asks for that. The template gets `live_interval`."""
    if wanted(request):
        return fragment_response(request, f"{template}#{part}", context, busy=busy, soon=soon)
    response = render(request, template, {**context, "live_interval": interval(busy, soon)})
    patch_vary_headers(response, ["Live"])
    return response


def fragment_response(
    request: HttpRequest, template: str, context: dict[str, Any], *, busy: bool, soon: bool = False
) -> HttpResponse:
    """The fragment `template` (`page.html#part`), or 304 when the browser has it already.

    `busy` says whether something in it runs, `soon` that it is about to end: they set the pace of the next question.
    """
    body = render_to_string(template, context, request)
    lasting = TOKEN.sub(r"\1", body)  # the CSRF token is another one in every answer
    etag = f'"{hashlib.sha256(lasting.encode()).hexdigest()[:32]}"'
    same = etag in request.headers.get("If-None-Match", "")
    response = HttpResponseNotModified() if same else HttpResponse(body)
    response["ETag"], response["Live-Interval"], response["Cache-Control"] = etag, str(interval(busy, soon)), "no-store"
    patch_vary_headers(response, ["Live"])
    return response
