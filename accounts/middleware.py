"""Around every request of a person: that they are there, and that their password is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.sessions import store
from accounts.signin import AGAIN, PasswordNeeded
from console.lib import live
from console.lib.middleware import GetResponse

NOT_KEPT = frozenset({"csrfmiddlewaretoken", AGAIN})


class ActivityMiddleware:
    """Keeps a session alive while its person does something. A page that stays live by itself is nobody."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and not live.wanted(request):
            store(request).touch()
        return self.get_response(request)


class PasswordMiddleware:
    """Asks for the password where that is all that is missing: see signin.require_recent_sign_in()."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Everything else is for others."""
        return _ask_for_password(request, exception) if isinstance(exception, PasswordNeeded) else None


def _ask_for_password(request: HttpRequest, needed: PasswordNeeded) -> HttpResponse:
    if request.method != "POST":
        return redirect(f"{reverse('session_confirm')}?{urlencode({'next': request.get_full_path()})}")
    context = {"kept": list(_kept(request)), "refusal": needed.message, "field": AGAIN, "files": bool(request.FILES)}
    return render(request, "accounts/session_held.html", context, status=needed.status)


def _kept(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Every field of the form that was held up."""
    for name, values in request.POST.lists():
        if name not in NOT_KEPT:
            yield from ((name, str(value)) for value in values)
