from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import AuditEvent, Membership, Tenant, User
from console.lib.errors import BadInput
from console.management.commands import createtenant
from workspaces.models import Project

pytestmark = pytest.mark.django_db


def created(*arguments: str) -> str:
    out = StringIO()
    call_command("createtenant", *arguments, stdout=out)
    return out.getvalue()


def test_makes_tenant_project_and_admin_who_can_sign_in() -> None:
    printed = created("Lighthouse", "--admin", "Ada@Lighthouse.example")
    found = re.search(r"ada@lighthouse.example signs in with the password (\S+)", printed)
    assert found
    ada = User.objects.get(email="ada@lighthouse.example")
    assert ada.check_password(found[1]) and not ada.is_staff and not ada.is_superuser
    assert Membership.objects.filter(user=ada, tenant__name="Lighthouse", is_admin=True).exists()
    assert Project.objects.get().name == "Default"


def test_prints_the_password_once_and_keeps_it_nowhere() -> None:
    printed = created("Lighthouse", "--admin", "ada@lighthouse.example")
    password = re.search(r"password (\S+)", printed)
    assert password and printed.count(password[1]) == 1
    assert len(password[1]) >= 20
    assert password[1] not in str(list(AuditEvent.objects.values())) + str(list(User.objects.values()))


def test_two_tenants_get_two_passwords() -> None:
    one, other = created("One", "--admin", "a@one.example"), created("Two", "--admin", "b@two.example")
    assert one.split("password ")[1].split()[0] != other.split("password ")[1].split()[0]


def test_leaves_audit_rows_of_the_new_tenant() -> None:
    created("Lighthouse", "--admin", "ada@lighthouse.example", "--project", "Harbour")
    rows = AuditEvent.objects.filter(tenant_id=Tenant.objects.get().pk).values_list("verb", "actor")
    assert set(rows) == {("tenant.create", "Drydock"), ("user.create", "Drydock"), ("project.create", "Drydock")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Harbor", "--admin", "new@harbor.example"), "Tenant with this Name already exists"),
        (("Other", "--admin", "ALICE@harbor.example"), "already exists"),
        (("Other", "--admin", "no address"), "Enter a valid email address"),
        (("  ", "--admin", "a@b.example"), "name: This field cannot be blank"),
        (("x" * 101, "--admin", "a@b.example"), "at most 100 characters"),
        (("Other", "--admin", "a@b.example", "--project", ""), "Project: This field cannot be blank"),
    ],
)
def test_bad_input_is_said_and_nothing_is_made(arguments: tuple[str, ...], sentence: str, alice: User) -> None:
    before = (Tenant.objects.count(), User.objects.count(), Project.objects.count(), AuditEvent.objects.count())
    with pytest.raises(CommandError, match=sentence):
        created(*arguments)
    assert before == (
        Tenant.objects.count(),
        User.objects.count(),
        Project.objects.count(),
        AuditEvent.objects.count(),
    )


@pytest.mark.parametrize("trouble", [BadInput("No."), IntegrityError("unique")])
def test_a_failure_at_the_last_step_leaves_nothing(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise trouble

    monkeypatch.setattr(createtenant, "create_project", fail)
    with pytest.raises(CommandError):
        created("Lighthouse", "--admin", "ada@lighthouse.example")
    assert not Tenant.objects.exists() and not User.objects.exists()
