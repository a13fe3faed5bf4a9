"""Pages that ask before something is done: a page of its own, a dialog where a link with data-dialog leads there."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import Tenant


@dataclass(frozen=True)
class Question:
    """`action` is the word on the button; `leave` is where Cancel goes."""

    title: str
    text: str
    action: str
    leave: str
    danger: bool = True


def ask(request: HttpRequest, tenant: Tenant, question: Question) -> HttpResponse:
    return render(request, "accounts/ask.html", {"tenant": tenant, "question": question})
