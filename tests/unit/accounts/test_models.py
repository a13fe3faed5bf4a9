"""People sign in by address in any case; names of time zones are real; audit rows stay as they were written."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actions import add_tenant_admin, create_tenant, generate_password
from accounts.models import AuditEvent, Membership, Tenant, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


class TestUser:
    def test_the_address_is_kept_in_small_letters_and_found_in_any(self) -> None:
        user = User.objects.create_user("  Alice@Harbor.Example ", PASSWORD)
        assert user.email == "alice@harbor.example"
        assert User.objects.get_by_natural_key("ALICE@harbor.example") == user

    def test_the_same_address_in_other_letters_is_refused(self, alice: User) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.create(email=alice.email.upper())

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "Asia/Kathmandu"])
    def test_a_time_zone(self, alice: User, zone: str) -> None:
        alice.time_zone = zone
        alice.full_clean()

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "berlin"])
    def test_no_time_zone(self, alice: User, zone: str) -> None:
        alice.time_zone = zone
        with pytest.raises(ValidationError) as caught:
            alice.full_clean()
        assert list(caught.value.message_dict) == ["time_zone"]

    def test_the_password_is_not_stored(self, alice: User) -> None:
        assert PASSWORD not in alice.password
        assert alice.check_password(PASSWORD)

    def test_generated_passwords_are_long_and_never_the_same(self) -> None:
        made = {generate_password() for _ in range(100)}
        assert len(made) == 100
        assert min(map(len, made)) >= 20


class TestTenant:
    def test_whose_it_is(self, tenant: Tenant, alice: User, charlie: User) -> None:
        bob = User.objects.create_user("bob@harbor.example", PASSWORD)
        Membership.objects.create(tenant=tenant, user=bob)
        assert list(Tenant.objects.of(alice)) == [tenant]
        assert list(Tenant.objects.administered_by(alice)) == [tenant]
        assert list(Tenant.objects.of(bob)) == [tenant]
        assert list(Tenant.objects.administered_by(bob)) == []
        assert tenant not in Tenant.objects.of(charlie)

    def test_a_member_once(self, tenant: Tenant, alice: User) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.create(tenant=tenant, user=alice)

    def test_a_name_once(self, tenant: Tenant) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            create_tenant(by=None, name=tenant.name)
        assert AuditEvent.objects.filter(verb="tenant.create").count() == 1

    def test_a_taken_address_leaves_nothing_behind(self, tenant: Tenant, alice: User) -> None:
        before = AuditEvent.objects.count()
        with pytest.raises(IntegrityError), transaction.atomic():
            add_tenant_admin(by=None, tenant=tenant, email="ALICE@harbor.example", password=PASSWORD)
        assert AuditEvent.objects.count() == before
        assert Membership.objects.filter(tenant=tenant).count() == 1


class TestAuditRows:
    def test_they_are_never_changed(self, tenant: Tenant) -> None:
        row = AuditEvent.objects.get()
        row.actor = "somebody else"
        with pytest.raises(TypeError, match="never changed"):
            row.save()
        with pytest.raises(TypeError, match="never changed"):
            AuditEvent.objects.update(actor="somebody else")
        with pytest.raises(TypeError, match="never changed"), transaction.atomic():
            AuditEvent.objects.bulk_update([row], ["actor"])
        assert AuditEvent.objects.get().actor == audit.SYSTEM

    def test_they_are_never_deleted(self, tenant: Tenant) -> None:
        with pytest.raises(TypeError, match="never deleted"):
            AuditEvent.objects.get().delete()
        with pytest.raises(TypeError, match="never deleted"):
            AuditEvent.objects.all().delete()
        assert AuditEvent.objects.count() == 1

    def test_they_outlive_what_they_speak_of(self, alice: User) -> None:
        Membership.objects.all().delete()
        alice.delete()
        assert AuditEvent.objects.get(verb="user.create").target == "alice@harbor.example"
