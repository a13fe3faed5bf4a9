"""Django admin: every model is there, no secret is, and to anybody but a superuser there is no such place."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import chain
from accounts.actions.invitation import invite_user
from accounts.actions.site import set_person_active
from accounts.actions.team import create_team
from accounts.models import AuditChain, AuditEvent, Invitation, Membership, Team, Tenant, User
from accounts.roles import ProjectAdmin, TenantAdmin, WorkspaceAdmin
from backups.models import (
    Backup,
    BackupLocation,
    BackupPolicy,
    FoundPlace,
    LocationChange,
    LocationCheck,
    LocationScan,
    PlacedLocation,
    PolicyChange,
    Reading,
    Restore,
    VolumePreview,
)
from console.lib.crypto import EncryptedJSONField
from console.lib.errors import BadInput
from tests.people import PASSWORD, give, person, team
from workspaces.models import Cluster, ClusterCheck, Draft, Presence, Project, Workspace

pytestmark = pytest.mark.django_db
SECRET = "planted-secret-value"
OURS = [
    model for app in ("accounts", "workspaces", "backups", "console") for model in apps.get_app_config(app).get_models()
]
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
NOT_THERE: dict[str, str] = {}  # label of a model that has no page there: why
EMPTY: set[str] = set()  # labels of models whose rows these tests cannot make


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def roots(client: Client, root: User) -> Client:
    client.force_login(root)
    return client


@pytest.fixture
def everything(project: Project, alice: User, east: Cluster, store: BackupLocation) -> None:
    """A row of each model, with secrets wherever there can be one."""
    shop = Workspace.objects.create(project=project, name="shop")
    shop.clusters.add(east)
    for on, role in ((project, ProjectAdmin), (shop, WorkspaceAdmin)):
        bob = person(role=role, on=on)
        team(bob, role=role, on=on)
    Cluster.objects.update(watched_by="one")
    east.kubeconfig = {"kubeconfig": SECRET, "context": ""}
    store.credentials = {"access_key": SECRET, "secret_key": SECRET}
    east.save()
    store.save()
    wish = {"project": project, "requested_by": alice}
    cluster = {**wish, "cluster": east}
    backup = Backup.objects.create(
        **cluster, name="b", object_name="b-1", location=store, keep_for=timedelta(days=1), workspace=shop
    )
    Restore.objects.create(**cluster, backup=backup, object_name="r-1")
    Reading.objects.create(**wish, backup=backup)
    VolumePreview.objects.create(**cluster)
    LocationCheck.objects.create(**wish, draft={"secret_key": SECRET})
    ClusterCheck.objects.create(**wish, kubeconfig={"kubeconfig": SECRET})
    Draft.objects.create(project=project, owner=alice, kind="register", data={"connection": {"kubeconfig": [SECRET]}})
    PlacedLocation.objects.create(location=store, cluster=east, source=east, access="ReadWrite", object_name="p")
    LocationChange.objects.create(location=store, cluster=east, kind="roll_out")
    LocationScan.objects.create(location=store)
    FoundPlace.objects.create(location=store, prefix="old", source=east, seen_at=timezone.now())
    policy = BackupPolicy.objects.create(project=project, cluster=east, location=store, prefix="p", object_name="p-1")
    PolicyChange.objects.create(policy=policy, kind="put")
    Presence.objects.announce("one", 15)
    invite_user(by=alice, tenant=project.tenant, email="new@harbor.example")
    chain.seal("one")


def secrets() -> Iterator[str]:
    """Every secret there is: planted ones, hashes, keys, and ciphertexts as they lie in the database."""
    yield SECRET
    yield from User.objects.values_list("password", flat=True)
    yield from Invitation.objects.values_list("token_hash", flat=True)
    yield AuditChain.objects.get().key
    for model in OURS:
        for field in model._meta.concrete_fields:
            if isinstance(field, EncryptedJSONField):
                rows = model._base_manager.exclude(**{field.name: None})
                yield from (str(row.__dict__[field.attname]) for row in rows)


def address(model: type[models.Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def test_every_model_is_there_or_has_a_reason() -> None:
    missing = {model._meta.label for model in OURS if not admin.site.is_registered(model)}
    assert missing == set(NOT_THERE) and all(NOT_THERE.values())
    foreign = {model._meta.label for model in REGISTERED if model not in OURS}
    assert foreign == set(), "what others bring could be changed past our actions"


def test_every_list_and_row_shows_no_secret(roots: Client, everything: None) -> None:
    hidden = list(secrets())
    assert len(hidden) > 10 and SECRET in hidden
    for model in REGISTERED:
        row = model._base_manager.first()
        assert row is not None or model._meta.label in EMPTY, f"no {model._meta.label} to look at"
        pages = [address(model, "changelist"), address(model, "changelist") + "?q=x"]
        pages += [address(model, page, row.pk) for page in ("change", "history")] if row else []
        for page in pages:
            answer = roots.get(page)
            assert answer.status_code == 200, page
            shown = text(answer)
            assert not [secret for secret in hidden if secret in shown], page


def test_control_a_page_that_shows_a_secret_is_found(
    roots: Client, everything: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.admin.is_secret", lambda field: False)
    assert SECRET in text(roots.get(address(Cluster, "change", Cluster.objects.get().pk)))


def test_lists_are_useful() -> None:
    for model, page in admin.site._registry.items():
        named = type(page).__name__ != "RowAdmin"
        assert tuple(page.list_display) != ("__str__",) or not named, model
        assert page.search_fields or not named or model in (Presence, AuditChain), model


CHANGED_THERE = {"accounts.User": {"add", "change"}, "accounts.Tenant": {"add"}, "accounts.Membership": {"add"}}


def test_what_goes_through_actions_is_only_looked_at(roots: Client, everything: None) -> None:
    for model in REGISTERED:
        allowed = CHANGED_THERE.get(model._meta.label, set())
        row = model._base_manager.first()
        assert row is not None
        assert roots.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        assert model._base_manager.filter(pk=row.pk).exists()
        if "add" not in allowed:
            assert roots.get(address(model, "add")).status_code == 403
            assert roots.post(address(model, "add"), {"name": "x"}).status_code == 403
        if "change" not in allowed:
            assert roots.post(address(model, "change", row.pk), {"name": "x"}).status_code == 403
        everywhere = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        roots.post(address(model, "changelist"), everywhere)
        assert model._base_manager.filter(pk=row.pk).exists()


def pages_of_the_admin() -> list[str]:
    rows = [address(model, page) for model in REGISTERED for page in ("changelist", "add")]
    rows += [address(model, page, uuid.uuid4()) for model in REGISTERED for page in ("change", "delete", "history")]
    return [*rows, *(reverse(f"admin:{name}") for name in ("index", "jsi18n", "autocomplete")), "/admin/no/such/"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_to_a_tenant_admin_there_is_no_such_place(alices: Client, alice: User, method: str) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)  # Django would let her in
    assert {getattr(alices, method)(page).status_code for page in pages_of_the_admin()} == {404}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_is_led_to_the_consoles_own_sign_in(client: Client, db: None, method: str) -> None:
    for page in [*pages_of_the_admin(), reverse("admin:login"), reverse("admin:logout")]:
        answer = getattr(client, method)(page, follow=True)
        assert answer.redirect_chain[-1][0].startswith(reverse("login")), page


def test_an_inactive_superuser_is_out(roots: Client, root: User) -> None:
    User.objects.filter(pk=root.pk).update(is_active=False)
    assert roots.get(reverse("admin:index")).status_code == 302


def test_superusers_sign_in_and_out_on_the_record(client: Client, root: User) -> None:
    asked = client.get(reverse("admin:index"), follow=True)
    client.post(asked.redirect_chain[-1][0], {"username": root.email, "password": "not this one"})
    answer = client.post(asked.redirect_chain[-1][0], {"username": root.email, "password": PASSWORD}, follow=True)
    assert answer.request["PATH_INFO"] == reverse("admin:index") and answer.status_code == 200
    client.post(reverse("admin:logout"))
    rows = AuditEvent.objects.filter(target_id=str(root.pk)).order_by("pk")
    assert [(row.verb, row.outcome) for row in rows] == [
        ("session.create", "denied"),
        ("session.create", "done"),
        ("session.delete", "done"),
    ]
    assert client.get(reverse("admin:index")).status_code == 302


def test_the_password_is_changed_on_the_consoles_own_page(roots: Client) -> None:
    assert roots.get(reverse("admin:password_change")).headers["Location"] == reverse("password_change")


# What may be done there


def last() -> AuditEvent:
    return AuditEvent.objects.all()[0]


def test_a_tenant_with_its_first_admin(roots: Client, root: User) -> None:
    assert roots.post(address(Tenant, "add"), {"name": "Harbor"}).status_code == 302
    tenant = Tenant.objects.get(name="Harbor")
    assert (last().verb, last().actor, last().tenant_id) == ("tenant.create", root.email, tenant.pk)
    person_ = {"email": "Ann@Harbor.example", "name": "Ann", "password": "quite a long password"}
    assert roots.post(address(User, "add"), person_).status_code == 302
    ann = User.objects.get(email="ann@harbor.example")
    assert ann.check_password("quite a long password") and not ann.is_superuser and not ann.is_staff
    assert (last().verb, last().actor) == ("user.create", root.email)
    joining = {"tenant": tenant.pk, "user": ann.pk, "is_admin": "on"}
    assert roots.post(address(Membership, "add"), joining).status_code == 302
    assert Membership.objects.active_admins().filter(tenant=tenant, user=ann).count() == 1
    assert (last().verb, last().tenant_id, last().details) == ("user.join", tenant.pk, {"role": "Tenant Admin"})
    assert AuditEvent.objects.filter(actor=root.email).count() == 3, "each leaves one row"
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("model", "fields", "says"),
    [
        (Tenant, {"name": "Harbor"}, "already exists"),
        (Tenant, {"name": ""}, "required"),
        (User, {"email": "ALICE@harbor.example", "password": "quite a long password"}, "already exists"),
        (User, {"email": "x@harbor.example", "password": "short"}, "too short"),
        (User, {"email": "x", "password": "quite a long password"}, "valid email"),
    ],
)
def test_what_cannot_be_made_is_said_at_the_field(
    roots: Client, alice: User, model: type[models.Model], fields: dict[str, str], says: str
) -> None:
    before = AuditEvent.objects.count()
    answer = roots.post(address(model, "add"), fields)
    assert answer.status_code == 200 and says in text(answer)
    assert AuditEvent.objects.count() == before


def test_a_member_joins_once(roots: Client, alice: User, tenant: Tenant) -> None:
    answer = roots.post(address(Membership, "add"), {"tenant": tenant.pk, "user": alice.pk})
    assert answer.status_code == 200 and "already exists" in text(answer)


def test_a_person_is_renamed_deactivated_and_activated(roots: Client, alice: User, tenant: Tenant) -> None:
    bob = person("bob", tenant=tenant)
    page = address(User, "change", bob.pk)
    forged = {"is_superuser": "on", "is_staff": "on", "password": "x", "email": "other@harbor.example"}
    form = {"name": "Bob", "time_zone": "Europe/Berlin", "is_active": "on", **forged}
    for change, verb in (({}, "user.update"), ({"is_active": ""}, "user.deactivate"), ({}, "user.activate")):
        before = AuditEvent.objects.count()
        sent = {name: value for name, value in (form | change).items() if value}
        assert roots.post(page, sent).status_code == 302
        stored = User.objects.get(pk=bob.pk)
        assert stored.is_active == ("is_active" in sent)
        assert (last().verb, last().tenant_id, AuditEvent.objects.count()) == (verb, tenant.pk, before + 1)
    assert (stored.name, stored.time_zone, stored.email) == ("Bob", "Europe/Berlin", "bob@harbor.example")
    assert not stored.is_superuser and not stored.is_staff and stored.check_password(PASSWORD)
    assert roots.post(page, form).status_code == 302 and AuditEvent.objects.count() == before + 1, "no change, no row"


def test_the_last_tenant_admin_and_oneself_stay(roots: Client, root: User, alice: User, tenant: Tenant) -> None:
    for user, says in ((alice, "last Tenant Admin of Harbor"), (root, "cannot deactivate yourself")):
        answer = roots.post(address(User, "change", user.pk), {"name": "x", "time_zone": "UTC"})
        assert answer.status_code == 200 and says in text(answer)
        assert User.objects.get(pk=user.pk).is_active
    give_to = person("bob", tenant=tenant)
    give(give_to, TenantAdmin, tenant)
    assert roots.post(address(User, "change", alice.pk), {"name": "", "time_zone": "UTC"}).status_code == 302
    assert not User.objects.get(pk=alice.pk).is_active


def test_a_change_behind_the_forms_back_is_refused_by_the_action(roots: Client, root: User, alice: User) -> None:
    with pytest.raises(BadInput, match="last Tenant Admin"):
        set_person_active(by=root, user=alice, active=False)


def test_a_team_is_found(roots: Client, tenant: Tenant) -> None:
    made = create_team(by=None, tenant=tenant, name="On call")
    assert str(made.pk) in text(roots.get(address(Team, "changelist"), {"q": "on call"}))


def test_a_row_is_found_by_its_id(roots: Client, east: Cluster, west: Cluster) -> None:
    page = text(roots.get(address(Cluster, "changelist"), {"q": f" {east.pk} "}))
    assert address(Cluster, "change", east.pk) in page and address(Cluster, "change", west.pk) not in page


def test_the_checks_of_the_admin_pass() -> None:
    call_command("check", fail_level="WARNING")
