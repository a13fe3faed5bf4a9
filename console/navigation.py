"""What the frame of a page offers: which project one is in, the others, and the left menu.

An entry whose page does not exist yet is not shown: the menu is this list, filtered by the URL names there are. A page
of a project says which one by `project` in its template context, or in its address.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounts.models import Tenant, User
from accounts.permissions import Held, Verb, held_in
from workspaces.known import known_projects
from workspaces.models import Project


@dataclass(frozen=True)
class Entry:
    """A line of the menu, for whoever may `verb`. `url_name` takes the project's or tenant's id, or nothing."""

    section: str
    label: str
    icon: str
    url_name: str
    verb: Verb


IN_PROJECT = (
    Entry("overview", "Overview", "overview", "project_overview", Verb.PROJECT_GET),
    Entry("clusters", "Clusters", "cluster", "cluster_list", Verb.PROJECT_GET),
    Entry("workspaces", "Workspaces", "workspace", "workspace_list", Verb.WORKSPACE_LIST),
    Entry("settings", "Project Settings", "settings", "project_settings", Verb.LOCATION_GET),
)
IN_TENANT = (
    Entry("projects", "Projects", "project", "project_list", Verb.PROJECT_CREATE),
    Entry("people", "Users and Teams", "people", "user_list", Verb.USER_LIST),
    Entry("audit", "Audit log", "audit", "audit_list", Verb.AUDIT_GET),
    Entry("tenant", "Tenant Settings", "tenant", "tenant_settings", Verb.TENANT_UPDATE),
)


@dataclass(frozen=True)
class Link:
    section: str
    label: str
    icon: str
    address: str
    current: bool = False


@dataclass(frozen=True)
class Menu:
    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Switch:
    """A line of the project switcher."""

    project: Project
    address: str
    current: bool


@dataclass(frozen=True)
class TenantSwitch:
    """A line of the tenant switcher in the user menu."""

    name: str
    address: str
    current: bool


@dataclass(frozen=True)
class Frame:
    """Everything base.html needs. `person` is None for somebody who has not signed in.

    `tenants` is empty for a person of one tenant: there is nothing to switch.
    """

    person: User | None = None
    project: Project | None = None
    menus: tuple[Menu, ...] = ()
    switches: tuple[Switch, ...] = ()
    tenants: tuple[TenantSwitch, ...] = ()


def address_of(url_name: str, *args: object) -> str:
    """The address, with or without its arguments, or nothing while there is no such page."""
    for arguments in (args, ()):
        try:
            return reverse(url_name, args=arguments)
        except NoReverseMatch:
            continue
    return ""


def frame_for(request: HttpRequest | None, project: object = None, section: str = "") -> Frame:
    """The frame of the page that answers `request`. Two queries for a person, none for a stranger.

    A third for a Tenant Admin of a tenant without projects.
    """
    person = getattr(request, "user", None)
    if request is None or not isinstance(person, User):
        return Frame()
    projects, held = known_projects(request, person), held_in(request)
    here = _project_here(request, project, projects)
    administered = _administered(held, projects)
    tenant = _tenant_here(request, here, administered)
    menus = (_project_menu(held, here, request.path, section), _tenant_menu(tenant, request.path, section))
    switches = tuple(Switch(each, _beginning(held, each), each == here) for each in projects)
    tenants = _tenant_switches(held, projects, administered, here.tenant if here else tenant)
    return Frame(person, here, tuple(menu for menu in menus if menu.links), switches, tenants)


def _project_here(request: HttpRequest, named: object, projects: Sequence[Project]) -> Project | None:
    """The page's own project, else the one last visited, else the first: on a page of a tenant, of that tenant's.

    A tenant that the person does not administer counts as little as one that is not there.
    """
    asked, tenant = _asked(request, "project"), _asked(request, "tenant")
    if tenant in held_in(request).tenants:
        projects = [each for each in projects if each.tenant_id == tenant]
    wanted = named.pk if isinstance(named, Project) else asked
    last = request.session.get("project")
    found = {str(each.pk): each for each in projects}
    here = found.get(str(wanted)) or found.get(str(last)) or (projects[0] if projects else None)
    if here and wanted and str(here.pk) != last:
        request.session["project"] = str(here.pk)
    return here


def _asked(request: HttpRequest, name: str) -> Any:
    """What the page's address says."""
    return request.resolver_match.kwargs.get(name) if request.resolver_match else None


def _project_menu(held: Held, project: Project | None, path: str, section: str) -> Menu:
    if project is None:
        return Menu("", ())
    return Menu(project.name, _links(_allowed(held, IN_PROJECT, project), project.pk, path, section))


def _allowed(held: Held, entries: Sequence[Entry], project: Project) -> list[Entry]:
    """What one may open; the list of workspaces also by a role on one of them, which is why one knows the project."""
    verbs = held.verbs_on(project)
    return [entry for entry in entries if entry.verb in verbs or (not verbs and entry.section == "workspaces")]


def _beginning(held: Held, project: Project) -> str:
    """Where one begins in a project: its overview, or the first page of it that one may open."""
    allowed = _allowed(held, IN_PROJECT, project)
    return address_of(allowed[0].url_name, project.pk) if allowed else ""


def _tenant_menu(tenant: Tenant | None, path: str, section: str) -> Menu:
    return Menu(tenant.name, _links(IN_TENANT, tenant.pk, path, section)) if tenant else Menu("", ())


def _administered(held: Held, projects: Sequence[Project]) -> list[Tenant]:
    """The tenants whose pages the person may open, by name. Asks the database only for those without a project."""
    found = {each.tenant_id: each.tenant for each in projects if each.tenant_id in held.tenants}
    if without := held.tenants - found.keys():
        found |= {each.pk: each for each in Tenant.objects.filter(pk__in=without)}
    return sorted(found.values(), key=lambda tenant: tenant.name)


def _tenant_here(request: HttpRequest, project: Project | None, administered: Sequence[Tenant]) -> Tenant | None:
    """The tenant that the tenant's pages in the menu speak of: the page's own, that of the project one is in, the
    first."""
    found = {each.pk: each for each in administered}
    wanted = (_asked(request, "tenant"), project.tenant_id if project else None)
    return next((found[pk] for pk in wanted if pk in found), next(iter(administered), None))


def _tenant_switches(
    held: Held, projects: Sequence[Project], administered: Sequence[Tenant], here: Tenant | None
) -> tuple[TenantSwitch, ...]:
    """Each leads to the first project one knows there, or to the tenant's projects."""
    addresses = {each: address_of("project_list", each.pk) for each in administered}
    addresses |= {each.tenant: _beginning(held, each) for each in reversed(projects)}
    tenants = sorted(addresses, key=lambda tenant: tenant.name) if len(addresses) > 1 else ()
    return tuple(TenantSwitch(each.name, addresses[each], each == here) for each in tenants)


def _links(entries: Sequence[Entry], pk: uuid.UUID, path: str, section: str) -> tuple[Link, ...]:
    there = [(entry, address) for entry in entries if (address := address_of(entry.url_name, pk))]
    current = section or _section_of(path, there)
    return tuple(Link(e.section, e.label, e.icon, address, e.section == current) for e, address in there)


def _section_of(path: str, there: list[tuple[Entry, str]]) -> str:
    """The entry with the longest address the path begins with; an overview is only itself."""
    matching: list[tuple[int, str]] = [
        (len(address), entry.section)
        for entry, address in there
        if path == address or (entry.section != "overview" and path.startswith(address))
    ]
    return max(matching, default=(0, ""))[1]


def first_project(request: HttpRequest, person: User) -> Project | None:
    """Where a person begins: in the project last visited, else in the first one, or nowhere."""
    return _project_here(request, None, known_projects(request, person))


def first_page(request: HttpRequest, project: Project | None) -> str:
    """The first page of this project that the person may open, if there is one."""
    return _beginning(held_in(request), project) if project else ""
