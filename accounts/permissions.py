"""Who may do what: the one door. Every query starts at `visible()`, every single row at `get_or_404()`, every change at
`require()`.

A model says where it hangs, each time by a lookup:

- `tenant_path` leads to its tenant, whose admins may do everything. Every model of a tenant has it.
- `project_path` leads to its project ("pk" for a project itself). A role on the project counts for the row.
- `workspace_path` leads to the workspace the row belongs to. A role on the workspace counts for the row.
- `listed_path` leads to workspaces that merely show the row. A role on one of them counts for the verb `<noun>.list`
  alone: the name and the state.
- `noun` is what its verbs begin with, unless the model's own name is.

What a model does not say, nobody gets by it. Only an active person counts, in tenants where the membership is active.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn, TypeVar

from django.db import connection, models
from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.http import HttpRequest

from accounts.models import Tenant, User, role_tables
from accounts.roles import ROLES, Scope, TenantAdmin, Verb, codenames
from console.lib.errors import Forbidden, NotVisible

__all__ = ["Held", "Verb", "get_or_404", "held_by", "held_in", "may", "require", "tenant_of", "verbs_on", "visible"]

M = TypeVar("M", bound=models.Model)
NOTHING: frozenset[Verb] = frozenset()


# One row, many rows


def visible(user: User, queryset: QuerySet[M], verb: Verb) -> QuerySet[M]:
    """`queryset` narrowed to what this person may `verb`. One query, however many tenants and roles; no row twice."""
    if not user.is_active:
        return queryset.none()
    return queryset.filter(_reached(user, queryset.model, verb))


def get_or_404(user: User, queryset: QuerySet[M], verb: Verb, pk: uuid.UUID) -> M:
    """The row, if this person may `verb` it.

    Raises NotVisible when they may not even see it, whether it exists or not; Forbidden when they see it.
    """
    found = visible(user, queryset, verb).filter(pk=pk).first()
    if found is None:
        _refuse(user, queryset.filter(pk=pk), verb)
    return found


def require(user: User, row: models.Model, verb: Verb) -> None:
    """Unless this person may `verb` the row, or in the project: raises NotVisible or Forbidden as get_or_404() does."""
    if not may(user, row, verb):
        _refuse(user, _only(row), verb)


def may(user: User, row: models.Model, verb: Verb) -> bool:
    """Whether this person may `verb` the row. One query."""
    return visible(user, _only(row), verb).exists()


def _only(row: models.Model) -> QuerySet[models.Model]:
    return type(row)._base_manager.filter(pk=row.pk)


def _refuse(user: User, rows: QuerySet[M], verb: Verb) -> NoReturn:
    sight = _sight(rows.model, verb)
    if sight != verb and visible(user, rows, sight).exists():
        raise Forbidden("Your role does not allow this.")
    raise NotVisible("There is nothing here.")


def _sight(model: type[models.Model], verb: Verb) -> Verb:
    """What one must hold to see the row at all: the `get` of its noun, else of the verb's, else the verb itself."""
    wanted = (f"{noun}.get" for noun in (Place.of(model).noun, verb.split(".")[0]))
    return next((Verb(name) for name in wanted if name in list(Verb)), verb)


# Where a row hangs


@dataclass(frozen=True)
class Place:
    """What a model says of itself; see above."""

    noun: str
    tenant: str
    project: str
    workspace: str
    listed: str

    @classmethod
    @cache
    def of(cls, model: type[models.Model]) -> Place:
        """Raises AttributeError for a model that does not say where its tenant is."""
        paths = (getattr(model, f"{name}_path", "") for name in ("project", "workspace", "listed"))
        noun = getattr(model, "noun", model._meta.model_name or "")
        return cls(noun, model.tenant_path, *paths)  # type: ignore[attr-defined]


def _reached(user: User, model: type[models.Model], verb: Verb) -> Q:
    """The rows this person may `verb`: through the tenant or project, and through workspaces."""
    place = Place.of(model)
    ways = [(place.project, Scope.PROJECT) if place.project else (place.tenant, Scope.TENANT)]
    if codenames(Scope.WORKSPACE, verb):
        showing = place.listed if verb == f"{place.noun}.list" else ""
        ways += [(path, Scope.WORKSPACE) for path in (place.workspace, showing) if path]
    return Q(*(_way(user, model, path, scope, verb) for path, scope in ways), _connector=Q.OR)


def _way(user: User, model: type[models.Model], path: str, scope: Scope, verb: Verb) -> Q:
    lookup, text, values = _written(model, path, scope, verb)
    return Q(**{lookup: RawSQL(text, _for(user, values))})  # noqa: S611 - the text is Django's own, the values are apart


# Django takes milliseconds to write one of these subqueries, several times a page, and always the same text but for the
# person. So each is written once, for somebody who stands for anybody.
ANYBODY = User(pk=uuid.uuid4())


@cache
def _written(model: type[models.Model], path: str, scope: Scope, verb: Verb) -> tuple[str, str, tuple[Any, ...]]:
    """A lookup of the model's own, and the text and values of the subquery of what it must be among."""
    lookup, among = _leads(model, path, _allowed(ANYBODY, scope, verb))
    return lookup, *among.order_by().values("pk").query.sql_with_params()


def _for(user: User, values: Iterable[Any]) -> list[Any]:
    """`values` with this person in the place of anybody."""
    anybody, somebody = (User._meta.pk.get_db_prep_value(each.pk, connection) for each in (ANYBODY, user))
    return [somebody if value == anybody else value for value in values]


def _allowed(user: User, scope: Scope, verb: Verb) -> QuerySet[Any]:
    """The tenants, projects or workspaces in which this person may `verb`; workspaces by a role on them alone."""
    administered = Tenant.objects.administered_by(user)
    if scope == Scope.TENANT:
        return administered
    model, given = _object_of(scope), _given(user, scope, codenames(scope, verb))
    if scope == Scope.WORKSPACE:
        return given
    return model._base_manager.filter(Q(tenant__in=administered) | Q(pk__in=given))


def _given(user: User, scope: Scope, names: Iterable[str]) -> QuerySet[Any]:
    """The projects or workspaces on which this person holds one of these roles, directly or through a team."""
    direct, through_team = role_tables(scope)
    named = {"permission__codename__in": names}
    mine = Q(pk__in=direct.objects.filter(user=user, **named).values("content_object"))
    mine |= Q(pk__in=through_team.objects.filter(group__user=user, **named).values("content_object"))
    model = _object_of(scope)
    lookup, here = _leads(model, Place.of(model).tenant, Tenant.objects.of(user))
    return model._base_manager.filter(mine, **{lookup: here})


def _object_of(scope: Scope) -> type[models.Model]:
    model: type[models.Model] = role_tables(scope)[0]._meta.get_field("content_object").related_model
    return model


def _leads(model: type[models.Model], path: str, rows: QuerySet[Any]) -> tuple[str, QuerySet[Any]]:
    """`path` leads to one of `rows`, said as a lookup of the model's own and what it must be among.

    By subqueries alone: a join could find a row twice.
    """
    head, _, tail = path.partition("__")
    field = model._meta.pk if head == "pk" else model._meta.get_field(head)
    if field.one_to_many or field.many_to_many:
        return "pk__in", model._base_manager.filter(**{f"{path}__in": rows})
    if tail:
        related: Any = field.related_model
        lookup, among = _leads(related, tail, rows)
        rows = related._base_manager.filter(**{lookup: among})
    return f"{head}__in", rows


# Everything a person holds


@dataclass(frozen=True)
class Held:
    """Every role of a person, read at once: for menus, and for what a page offers. Never kept beyond a request."""

    tenants: frozenset[uuid.UUID]
    projects: Mapping[uuid.UUID, frozenset[Verb]]
    workspaces: Mapping[uuid.UUID, frozenset[Verb]]

    def verbs_on(self, row: models.Model) -> frozenset[Verb]:
        """What may be done with the row, but for a `<noun>.list` held only because a workspace shows it.

        Asks the database only for a row whose project is neither loaded nor named by a column of its own.
        """
        place = Place.of(type(row))
        if not place.project:
            return frozenset(Verb) if _end(row, place.tenant) in self.tenants else NOTHING
        verbs = self.projects.get(_end(row, place.project), NOTHING)
        return verbs | self.workspaces.get(_end(row, place.workspace), NOTHING)


def verbs_on(user: User, row: models.Model) -> frozenset[Verb]:
    """What this person may do with the row; see Held.verbs_on(). One query."""
    return held_by(user).verbs_on(row)


def held_in(request: HttpRequest) -> Held:
    """What the person of this request holds. One query, once for each request."""
    if not hasattr(request, "held"):
        request.held = held_by(request.user) if isinstance(request.user, User) else Held(frozenset(), {}, {})  # type: ignore[attr-defined]
    held: Held = request.held  # type: ignore[attr-defined]
    return held


def held_by(user: User) -> Held:
    """Every role of this person, in every tenant. One query."""
    tenants: set[uuid.UUID] = set()
    found: dict[str, dict[uuid.UUID, frozenset[Verb]]] = {Scope.PROJECT: {}, Scope.WORKSPACE: {}}
    verbs = {role.codename: role.verbs for role in ROLES}
    for scope, codename, pk in _rows_of(user) if user.is_active else ():
        if scope == Scope.TENANT:
            tenants.add(pk)
        else:
            found[scope][pk] = found[scope].get(pk, NOTHING) | verbs.get(codename, NOTHING)
    return Held(frozenset(tenants), found[Scope.PROJECT], found[Scope.WORKSPACE])


def _rows_of(user: User) -> Iterable[tuple[str, str, uuid.UUID]]:
    """(scope, codename, id): of tenants, of the projects in them, and of every role's object."""
    text, values = _all_written()
    with connection.cursor() as cursor:
        cursor.execute(text, _for(user, values))
        return [(scope, codename, uuid.UUID(str(pk))) for scope, codename, pk in cursor.fetchall()]


@cache
def _all_written() -> tuple[str, tuple[Any, ...]]:
    administered, active = Tenant.objects.administered_by(ANYBODY), Tenant.objects.of(ANYBODY)
    admin = Value(TenantAdmin.codename, CharField())
    projects = _object_of(Scope.PROJECT)._base_manager.filter(tenant__in=administered)
    parts = [_columns(projects, Scope.PROJECT, admin, "pk")]
    for scope in (Scope.PROJECT, Scope.WORKSPACE):
        direct, through_team = role_tables(scope)
        for table, holder in ((direct, "user"), (through_team, "group__user")):
            rows = table.objects.filter(**{holder: ANYBODY, f"{table.tenant_path}__in": active})
            parts.append(_columns(rows, scope, F("permission__codename"), "content_object_id"))
    return _columns(administered, Scope.TENANT, admin, "pk").union(*parts, all=True).query.sql_with_params()


def _columns(rows: QuerySet[Any], scope: Scope, codename: Any, pk: str) -> QuerySet[Any, Any]:
    return rows.order_by().values_list(Value(str(scope), CharField()), codename, F(pk))


def tenant_of(row: models.Model) -> uuid.UUID:
    """The key of the one tenant the row is in."""
    found: uuid.UUID = _end(row, Place.of(type(row)).tenant)
    return found


def _end(row: models.Model, path: str) -> Any:
    """The key that `path` leads to, or None where it leads to none or to several."""
    *steps, last = path.split("__") if path else [""]
    here: Any = row
    for step in steps:
        here = getattr(here, step, None)
    return getattr(here, "pk" if last == "pk" else f"{last}_id", None) if last else None
