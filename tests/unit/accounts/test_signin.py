"""Signing in leaves a row in the audit log, whoever it was and however it went."""

from __future__ import annotations

import pytest

from accounts import signin
from accounts.models import AuditEvent, Membership, Tenant, User

pytestmark = pytest.mark.django_db


def last() -> AuditEvent:
    return AuditEvent.objects.latest("id")


def test_in_and_out(alice: User, tenant: Tenant) -> None:
    signin.record_sign_in(alice)
    assert (last().verb, last().actor, last().outcome, last().tenant_id) == (
        "session.create",
        alice.email,
        "done",
        tenant.pk,
    )
    signin.record_sign_out(alice)
    assert last().verb == "session.delete"


def test_a_refused_one_is_by_nobody_about_the_person(alice: User, tenant: Tenant) -> None:
    signin.record_refused_sign_in(" ALICE@harbor.example ")
    assert (last().outcome, last().actor_id, last().target, last().tenant_id) == (
        "denied",
        None,
        str(alice),
        tenant.pk,
    )


def test_what_was_typed_is_not_kept() -> None:
    signin.record_refused_sign_in("my-password-in-the-wrong-field")
    assert "my-password" not in repr(AuditEvent.objects.values())
    assert last().target == "unknown address"


def test_somebody_of_two_tenants_signs_in_to_none_in_particular(alice: User) -> None:
    Membership.objects.create(tenant=Tenant.objects.create(name="Second"), user=alice)
    signin.record_sign_in(alice)
    assert last().tenant_id is None
