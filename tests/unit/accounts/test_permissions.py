"""To a stranger nothing exists, and he cannot tell "not there" from "not yours"."""

from __future__ import annotations

import uuid

import pytest
from django.apps import apps
from django.db import models

from accounts.models import Membership, Tenant, User
from accounts.permissions import Verb, get_or_404, require, visible
from console.lib.errors import NotVisible
from tests.conftest import PASSWORD, make_cluster
from workspaces.models import Cluster, Presence, Project

pytestmark = pytest.mark.django_db


NOBODYS = {Presence}  # the console's own bookkeeping: nothing of it is ever shown


def scoped_models() -> list[type[models.Model]]:
    """Every model of ours that holds what belongs to a tenant."""
    made_by_django = {through for model in apps.get_models() for through in _through_tables(model)}
    return [
        model
        for app in ("workspaces", "backups")
        for model in apps.get_app_config(app).get_models()
        if model not in made_by_django | NOBODYS
    ]


def _through_tables(model: type[models.Model]) -> list[type[models.Model]]:
    return [
        field.remote_field.through
        for field in model._meta.many_to_many
        if field.remote_field.through._meta.auto_created
    ]


@pytest.mark.parametrize("model", scoped_models(), ids=lambda model: model.__name__)
def test_every_model_says_where_its_tenant_is(model: type[models.Model]) -> None:
    """`visible()` works on all of them, and its path ends at a tenant."""
    path = getattr(model, "tenant_path", None)
    assert path, f"{model.__name__} has no tenant_path, so its rows are not scoped"
    end: type[models.Model] = model
    for step in path.split("__"):
        related = end._meta.get_field(step).related_model
        assert isinstance(related, type)
        end = related
    assert end is Tenant
    user = User.objects.create_user("nobody@example.com", PASSWORD)
    assert list(visible(user, model._default_manager.all(), Verb.PROJECT_GET)) == []


class TestVisible:
    def test_the_admin_sees_the_tenants_rows(self, alice: User, project: Project, east: Cluster) -> None:
        assert list(visible(alice, Cluster.objects.all(), Verb.CLUSTER_GET)) == [east]
        assert list(visible(alice, Project.objects.all(), Verb.PROJECT_GET)) == [project]

    def test_a_stranger_sees_none(self, charlie: User, east: Cluster) -> None:
        assert not visible(charlie, Cluster.objects.all(), Verb.CLUSTER_GET).exists()
        assert not visible(charlie, Project.objects.all(), Verb.PROJECT_GET).exists()

    def test_an_inactive_person_sees_none(self, alice: User, east: Cluster) -> None:
        alice.is_active = False
        assert not visible(alice, Cluster.objects.all(), Verb.CLUSTER_GET).exists()

    def test_a_mere_member_sees_none_yet(self, tenant: Tenant, east: Cluster) -> None:
        bob = User.objects.create_user("bob@harbor.example", PASSWORD)
        Membership.objects.create(tenant=tenant, user=bob)
        assert not visible(bob, Cluster.objects.all(), Verb.CLUSTER_GET).exists()

    def test_a_superuser_of_django_is_nobody_here(self, east: Cluster) -> None:
        root = User.objects.create_superuser("root@example.com", PASSWORD)
        assert not visible(root, Cluster.objects.all(), Verb.CLUSTER_GET).exists()

    def test_one_query_however_many_tenants(
        self, alice: User, east: Cluster, django_assert_num_queries: object
    ) -> None:
        for number in range(5):
            tenant = Tenant.objects.create(name=f"T{number}")
            Membership.objects.create(tenant=tenant, user=alice, is_admin=True)
            make_cluster(Project.objects.create(tenant=tenant, name="p"), "c")
        with django_assert_num_queries(1):  # type: ignore[operator]
            assert len(visible(alice, Cluster.objects.all(), Verb.CLUSTER_GET)) == 6


class TestOneRow:
    def test_the_admin_gets_it(self, alice: User, east: Cluster) -> None:
        assert get_or_404(alice, Cluster.objects.all(), Verb.CLUSTER_GET, east.pk) == east

    def test_foreign_and_missing_look_the_same(self, charlie: User, east: Cluster) -> None:
        with pytest.raises(NotVisible) as foreign:
            get_or_404(charlie, Cluster.objects.all(), Verb.CLUSTER_GET, east.pk)
        with pytest.raises(NotVisible) as missing:
            get_or_404(charlie, Cluster.objects.all(), Verb.CLUSTER_GET, uuid.uuid4())
        assert type(foreign.value) is type(missing.value)
        assert (foreign.value.message, foreign.value.remedy) == (missing.value.message, missing.value.remedy)
        assert east.name not in foreign.value.sentence()

    def test_the_same_number_of_questions_to_the_database(
        self, charlie: User, east: Cluster, django_assert_num_queries: object
    ) -> None:
        for pk in (east.pk, uuid.uuid4()):
            with django_assert_num_queries(1), pytest.raises(NotVisible):  # type: ignore[operator]
                get_or_404(charlie, Cluster.objects.all(), Verb.CLUSTER_GET, pk)

    def test_require(self, alice: User, charlie: User, project: Project) -> None:
        require(alice, project, Verb.CLUSTER_CREATE)
        with pytest.raises(NotVisible, match=r"^There is nothing here\.$"):
            require(charlie, project, Verb.CLUSTER_CREATE)
