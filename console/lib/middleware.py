"""Around every request: an id, the viewer's time zone, and expected errors as answers a person can read."""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Callable
from ipaddress import ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import resolve
from django.utils import timezone

from console.lib import context, metrics
from console.lib.errors import ConsoleError, Forbidden, NotVisible

GetResponse = Callable[[HttpRequest], HttpResponse]
PROBES = frozenset({"/healthz", "/readyz"})
log = structlog.get_logger(__name__)


def client_address(request: HttpRequest) -> str:
    """Whom the request comes from: who connects or, behind our own proxies, whom the outermost of them names.

    Each proxy adds one name at the end of X-Forwarded-For. What stands before those anybody may have invented.
    """
    direct: str = request.META.get("REMOTE_ADDR", "")
    named = request.headers.get("X-Forwarded-For", "").split(",")
    if not settings.BEHIND_TLS or len(named) < settings.PROXIES:
        return direct
    return _an_address(named[-settings.PROXIES].strip()) or direct


def _an_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


class RequestIdMiddleware:
    """Gives the request an id, answers with it in `X-Request-ID`, measures and logs the request."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        asked = request.headers.get("X-Request-ID", "")
        with context.caused_by(asked, address=client_address(request)) as cause:
            response = self.get_response(request)
            response["X-Request-ID"] = cause.id
            route = request.resolver_match.view_name if request.resolver_match else "unmatched"
            seconds = time.perf_counter() - started
            metrics.request_seconds.labels(route, request.method, str(response.status_code)).observe(seconds)
            log.info(
                "request", route=route, method=request.method, status=response.status_code, seconds=round(seconds, 4)
            )
        return response


class StorableMiddleware:
    """Takes NUL out of the query string and out of cookies: no person types one, and PostgreSQL refuses to look for it.

    In posted forms every field refuses it by itself.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.META["QUERY_STRING"] = request.META.get("QUERY_STRING", "").replace("%00", "").replace("\x00", "")
        request.COOKIES = {name: value.replace("\x00", "") for name, value in request.COOKIES.items()}
        return self.get_response(request)


class ProbeMiddleware:
    """Answers the probes of whoever runs the console, who ask under an address and not under one of ALLOWED_HOSTS.

    Their two views use no Host header. They are answered here, before anything that would look at it, and before there
    is a session or a person; everything else goes on as before.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info not in PROBES or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        request.resolver_match = resolve(request.path_info)
        answer: HttpResponse = request.resolver_match.func(request)
        return answer


class ViewerMiddleware:
    """Shows times in the signed-in person's zone."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = getattr(request.user, "time_zone", "") or "UTC"
        with timezone.override(zoneinfo.ZoneInfo(zone)):
            return self.get_response(request)


class ConsoleErrorMiddleware:
    """Turns an expected error that no view handled into a page: 404, 403, or 502 with its message."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, NotVisible):
            # No entry of the menu is the current one: that would tell one's own project from one that is not there.
            return render(request, "404.html", {"section": "nowhere"}, status=404)
        if isinstance(exception, Forbidden):
            return render(request, "403.html", {"message": exception.message}, status=403)
        if isinstance(exception, ConsoleError):
            return render(request, "error.html", {"error": exception, "reference": context.current().id}, status=502)
        return None
