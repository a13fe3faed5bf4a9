"""The projects a person knows of: the frame around every page shows them, so pages take theirs from there."""

from __future__ import annotations

import uuid

from django.http import HttpRequest

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, get_or_404, held_in, visible
from console.lib import live
from workspaces.models import Project


def known_projects(request: HttpRequest, person: User) -> list[Project]:
    """With their tenants, in the order of the switcher. One query, once for each request."""
    if not hasattr(request, "known_projects"):
        found = visible(person, Project.objects.select_related("tenant"), Verb.PROJECT_LIST)
        request.known_projects = list(found.order_by("tenant__name", "name"))  # type: ignore[attr-defined]
    known: list[Project] = request.known_projects  # type: ignore[attr-defined]
    return known


def project_or_404(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Project:
    """The project, if this person may `verb` it. Raises as `get_or_404`. A live part has no frame, and asks for one."""
    known = [] if live.wanted(request) else known_projects(request, request.user)
    here = next((project for project in known if project.pk == pk), None)
    if here and verb in held_in(request).verbs_on(here):
        return here
    return get_or_404(request.user, Project.objects.select_related("tenant"), verb, pk)
