"""S10: a thousand guesses compute ten hashes; the owner elsewhere gets in; deactivation ends sessions at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

from bench.access.database import in_memory
from bench.report import Report

if TYPE_CHECKING:
    from accounts.models import User

GUESSES, HASHES = 1000, 10
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


def check(*, full: bool, seed: int) -> Report:
    """The same at both sizes."""
    report = Report("S10", "guessed passwords, sessions of who is deactivated", full)
    with in_memory():
        from django.test import override_settings

        owner = make_owner()
        report.say("hashes", hashes(owner), f"<= {HASHES}", n=GUESSES)
        report.say("owner_elsewhere", gets_in(owner, ELSEWHERE), "= 1")
        report.say("owner_here", gets_in(owner, HERE), "= 0")
        report.say("pages_after_deactivation", _pages_after_deactivation(), "= 0", n=2)
        with override_settings(AXES_ENABLED=False):
            open_door = hashes(owner)
        report.control("a door without a throttle", failed=open_door > HASHES, detail=f"{open_door} hashes")
    return report


def make_owner() -> User:
    from accounts.actions.tenant import add_tenant_admin, create_tenant
    from tests.people import PASSWORD

    return add_tenant_admin(by=None, tenant=create_tenant(by=None, name="H"), email="o@h.example", password=PASSWORD)


def _post(owner: User, password: str, address: str) -> Any:
    from django.test import Client

    return Client().post("/login/", {"username": owner.email, "password": password}, REMOTE_ADDR=address)


def hashes(owner: User, count: int = GUESSES) -> int:
    """How many passwords are hashed for so many guesses."""
    from django.contrib.auth.hashers import MD5PasswordHasher

    real = MD5PasswordHasher.encode
    with mock.patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=real) as hashed:
        for number in range(count):
            _post(owner, f"guess {number}", HERE)
    return hashed.call_count


def gets_in(owner: User, address: str) -> bool:
    from tests.people import PASSWORD

    return bool(_post(owner, PASSWORD, address).status_code == 302)


def _pages_after_deactivation() -> int:
    """Of a page and its live part, how many are still shown to who looks at them and is deactivated."""
    from django.test import Client

    from accounts.actions.member import deactivate_member
    from accounts.roles import ProjectAdmin
    from bench.access.world import make
    from tests.people import person
    from workspaces.models import Project

    project = Project.objects.get(pk=make().rows["own"]["project"])
    viewer, browser = person(role=ProjectAdmin, on=project), Client(raise_request_exception=False)
    browser.force_login(viewer)
    page = f"/projects/{project.pk}/"
    assert browser.get(page).status_code == 200, "the page is not shown to who may see it"
    deactivate_member(by=None, tenant=project.tenant, user=viewer)
    return sum(browser.get(page, headers=headers).status_code == 200 for headers in ({}, {"Live": "1"}))
