"""A role given on one project or workspace: who holds which on what. The rows' tables are beside those models.

Nothing but this module knows django-guardian. Its permission rows with a foreign key of their own vanish together with
what they are about, which its generic rows do not.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from django.apps import apps
from django.db import models
from django.utils import timezone
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from accounts.roles import Scope


class UserRole(UserObjectPermissionBase):
    """A person's role on `content_object`."""

    scope: ClassVar[Scope]
    noun = "role"

    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(UserObjectPermissionBase.Meta):
        abstract = True


class TeamRole(GroupObjectPermissionBase):
    """A team's role on `content_object`: it holds for the team's members."""

    scope: ClassVar[Scope]
    noun = "role"

    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(GroupObjectPermissionBase.Meta):
        abstract = True


@cache
def role_tables(scope: Scope) -> tuple[Any, Any]:
    """The models that hold the roles given on this: of people, of teams. Any: `content_object` is a subclass's."""
    found = [model for model in apps.get_models() if getattr(model, "scope", None) == scope]
    people, teams = (next(each for each in found if issubclass(each, base)) for base in (UserRole, TeamRole))
    return people, teams
