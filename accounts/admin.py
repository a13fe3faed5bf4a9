"""Django admin's lists and pages. Rows are looked at; what may be changed there goes through the same actions."""

from __future__ import annotations

import contextlib
import re
import uuid
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models
from django.http import HttpRequest

from accounts.actions import site
from accounts.actions.tenant import create_tenant
from accounts.forms.site import NewPersonForm, PersonForm
from accounts.models import AuditChain, AuditEvent, AuditLink, Invitation, Membership, Team, Tenant, User
from console.lib.crypto import EncryptedJSONField

if TYPE_CHECKING:  # Django's own class takes no parameter when it runs
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = admin.ModelAdmin

SECRET = re.compile(r"password|secret|token|credential|private|hash|digest|session_")
LISTED = 6  # columns of a list that nobody wrote down


class RowAdmin(AnyAdmin):
    """Looked at, never touched: what may be done with a row goes through the pages, which check and record it."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    list_select_related = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """An id as people copy it is found, too, however the database writes it."""
        with contextlib.suppress(ValueError):
            if isinstance(self.model._meta.pk, models.UUIDField):
                return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        return super().get_search_results(request, queryset, search_term)

    def get_list_display(self, request: HttpRequest) -> Any:
        written = super().get_list_display(request)
        return shown(self.model)[:LISTED] if tuple(written) == ("__str__",) else written


def shown(model: type[models.Model]) -> list[str]:
    """The columns that hold no secret: neither what is encrypted nor what is only a trace of one."""
    columns = [*model._meta.concrete_fields, *model._meta.many_to_many]
    return [each.name for each in columns if not is_secret(each)]


def is_secret(field: Any) -> bool:
    text = isinstance(field, models.CharField | models.TextField | models.BinaryField | models.JSONField)
    return isinstance(field, EncryptedJSONField) or (text and SECRET.search(field.name) is not None)


def register_rest(label: str) -> None:
    """Whatever else an app keeps is looked at as well, by a list of its first columns."""
    for model in apps.get_app_config(label).get_models():
        if not admin.site.is_registered(model):
            admin.site.register(model, RowAdmin)


def _by(request: HttpRequest) -> User:
    return cast("User", request.user)


admin.site.unregister(Group)  # a team's group is changed with the team alone


@admin.register(Tenant)
class TenantAdmin(RowAdmin):
    """Made here; changed by its admins."""

    list_display = ("name", "id", "created_at")
    search_fields = ("name", "id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model) if obj else ["name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model) if obj else []

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        obj.__dict__ |= vars(create_tenant(by=_by(request), name=obj.name))


@admin.register(User)
class UserAdmin(RowAdmin):
    """Made, renamed, activated and deactivated here; never deleted, so that what they did keeps its name."""

    list_display = ("email", "name", "is_active", "is_superuser", "last_login", "created_at")
    list_filter = ("is_active", "is_superuser", "last_login")
    search_fields = ("email", "name", "id")
    never_shown = ("groups", "user_permissions")  # roles are on projects and workspaces; teams have a list

    def has_add_permission(self, request: HttpRequest) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        own = type("PersonForm", (PersonForm,), {"by": request.user}) if obj else NewPersonForm
        return super().get_form(request, obj, change, **kwargs | {"form": own})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        seen = [name for name in shown(self.model) if name not in self.never_shown]
        return seen if obj else [*NewPersonForm.Meta.fields, "password"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        seen = [name for name in shown(self.model) if name not in self.never_shown]
        return [name for name in seen if name not in PersonForm.Meta.fields] if obj else []

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            made = site.create_person(
                by=_by(request), email=obj.email, name=obj.name, password=form.cleaned_data["password"]
            )
            obj.__dict__ |= vars(made)
            return
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if (active := values.pop("is_active", None)) is not None:
            site.set_person_active(by=_by(request), user=obj, active=active)
        if values:
            site.update_person(by=_by(request), user=obj, **values)


@admin.register(Invitation)
class InvitationAdmin(RowAdmin):
    list_display = ("email", "tenant", "invited_by", "sent_at", "expires_at", "accepted_at", "withdrawn_at")
    list_filter = ("tenant", "accepted_at", "withdrawn_at")
    search_fields = ("email", "tenant__name")


@admin.register(Membership)
class MembershipAdmin(RowAdmin):
    """Somebody is made a member here, so that a new tenant has an admin; the rest is its admins' affair."""

    list_display = ("user", "tenant", "is_admin", "is_active", "created_at")
    list_filter = ("is_admin", "is_active", "tenant")
    search_fields = ("user__email", "user__name", "tenant__name")
    joining = ("tenant", "user", "is_admin")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model) if obj else list(self.joining)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return shown(self.model) if obj else []

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in self.joining}
        obj.__dict__ |= vars(site.join_tenant(by=_by(request), **values))


@admin.register(Team)
class TeamAdmin(RowAdmin):
    list_display = ("name", "tenant", "description", "created_at")
    list_filter = ("tenant",)
    search_fields = ("name", "description", "tenant__name")


@admin.register(AuditEvent)
class AuditEventAdmin(RowAdmin):
    list_display = ("at", "actor", "verb", "target_kind", "target", "outcome", "address", "tenant_id")
    list_filter = ("outcome", "at", "target_kind")
    search_fields = ("actor", "verb", "target", "target_id", "reference", "tenant_id")


@admin.register(AuditLink)
class AuditLinkAdmin(RowAdmin):
    list_display = ("number", "event_id", "code")
    search_fields = ("=number", "=event_id")


@admin.register(AuditChain)
class AuditChainAdmin(RowAdmin):
    list_display = ("number", "sealed_at", "settled", "trouble", "holder")


register_rest("accounts")
