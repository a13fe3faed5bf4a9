"""Inviting: a link that works once, tells nobody anything, and is written down nowhere."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions.member import deactivate_member
from accounts.models import AuditEvent, Invitation, Membership, Tenant, User
from tests.conftest import PASSWORD
from tests.people import person

pytestmark = pytest.mark.django_db
NEW = "new@harbor.example"
LINK = re.compile(r"http://testserver(/invitation/\?t=([\w-]{43}))")


class Refusing(BaseEmailBackend):
    def send_messages(self, messages: Any) -> int:
        raise ConnectionRefusedError


def text(response: Any) -> str:
    return unescape(response.content.decode())


def invite(client: Client, tenant: Tenant, email: str = NEW) -> str:
    """The link as shown for copying."""
    page = client.post(reverse("invitation_create", args=[tenant.pk]), {"email": email})
    found = LINK.search(text(page))
    assert found, text(page)
    return found[1]


def opened(link: str, client: Client | None = None) -> tuple[Client, Any]:
    client = client or Client()
    return client, client.get(link, follow=True)


def accept(client: Client, **changed: str) -> Any:
    typed = {"name": "Nora New", "password": PASSWORD, "again": PASSWORD} | changed
    return client.post(reverse("invitation_open"), typed)


class TestInviting:
    def test_the_link_is_shown_once_and_kept_nowhere(
        self, alices: Client, alice: User, tenant: Tenant, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        link = invite(alices, tenant)
        client, _ = opened(link)
        accept(client)
        client.get(link, follow=True)
        client.post(link)
        token = link.split("=")[1]
        (invitation,) = Invitation.objects.all()
        rows = [
            str(value) for row in (*Invitation.objects.values(), *AuditEvent.objects.values()) for value in row.values()
        ]
        assert token not in "".join(rows)
        assert token not in caplog.text
        assert all(token not in json.dumps(dict(session)) for session in (alices.session, client.session))
        assert token not in text(alices.get(reverse("user_list", args=[tenant.pk])))
        assert invitation.invited_by == alice
        assert invitation.expires_at - invitation.created_at > timedelta(days=6, hours=23)

    def test_the_answer_is_never_cached(self, alices: Client, tenant: Tenant) -> None:
        page = alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": NEW})
        assert "no-store" in page["Cache-Control"]

    def test_by_mail_the_link_is_not_shown(self, alices: Client, tenant: Tenant, settings: Any) -> None:
        settings.MAIL_IS_SENT = True
        page = alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": NEW}, follow=True)
        assert f"The invitation was sent to {NEW}." in text(page)
        assert not LINK.search(text(page))
        (letter,) = mail.outbox
        assert letter.to == [NEW]
        found = LINK.search(str(letter.body))
        assert found
        assert "Join Harbor" in text(opened(found[1])[1])

    def test_a_mail_server_that_refuses_leaves_the_link_to_pass_on(
        self, alices: Client, tenant: Tenant, settings: Any
    ) -> None:
        settings.MAIL_IS_SENT, settings.EMAIL_BACKEND = True, f"{__name__}.Refusing"
        page = text(alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": NEW}))
        assert "The mail server did not take the e-mail." in page
        assert LINK.search(page)

    def test_an_address_of_another_tenant_gets_the_same_answer(
        self, alices: Client, charlie: User, tenant: Tenant
    ) -> None:
        answers = [
            text(alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": email}))
            for email in (charlie.email, "nobody@elsewhere.example")
        ]
        plain = [
            re.sub(r"t=[\w-]+|\w+@elsewhere\.example|value=\"\w{64}\"|nonce-[^\"]+", "·", page) for page in answers
        ]
        assert plain[0] == plain[1]
        page = alices.get(reverse("user_list", args=[tenant.pk])).context["page"]
        listed = [each for each in page if each.state == "invited"]
        assert {each.email for each in listed} == {charlie.email, "nobody@elsewhere.example"}
        assert not any(each.name or each.is_admin or each.roles for each in listed)

    def test_an_address_that_is_here_already(self, alices: Client, alice: User, tenant: Tenant) -> None:
        gone = person("gone", tenant=tenant)
        deactivate_member(by=alice, tenant=tenant, user=gone)
        for email, said in ((alice.email.upper(), "is in Harbor already."), (gone.email, "already, deactivated.")):
            answer = alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": email})
            assert answer.status_code == 422
            assert said in str(answer.context["form"].errors["email"])
        assert not Invitation.objects.exists()

    def test_an_address_invited_already(self, alices: Client, tenant: Tenant) -> None:
        invite(alices, tenant)
        answer = alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": NEW.upper()})
        assert answer.status_code == 422
        assert "This address is invited already." in text(answer)
        assert Invitation.objects.count() == 1

    @pytest.mark.parametrize("email", ["", "x", "a@", "a b@c.example"])
    def test_no_address(self, alices: Client, tenant: Tenant, email: str) -> None:
        answer = alices.post(reverse("invitation_create", args=[tenant.pk]), {"email": email})
        assert answer.status_code == 422
        assert "email" in answer.context["form"].errors

    def test_resending_ends_the_link_before(self, alices: Client, tenant: Tenant) -> None:
        old = invite(alices, tenant)
        holder, _ = opened(old)
        (invitation,) = Invitation.objects.all()
        address = reverse("invitation_resend", args=[tenant.pk, invitation.pk])
        assert "Make a new link" in text(alices.get(address))
        found = LINK.search(text(alices.post(address)))
        assert found
        assert accept(holder).status_code == 410, "opened before, sent after"
        assert opened(old)[1].status_code == 410
        assert opened(found[1])[1].status_code == 200

    def test_withdrawn_it_works_no_more_and_the_address_can_be_invited_again(
        self, alices: Client, tenant: Tenant
    ) -> None:
        link = invite(alices, tenant)
        address = reverse("invitation_withdraw", args=[tenant.pk, Invitation.objects.get().pk])
        assert "The link stops working at once." in text(alices.get(address))
        alices.post(address)
        page = opened(link)[1]
        assert page.status_code == 410
        assert "This invitation was withdrawn" in text(page)
        assert "used, withdrawn or renewed meanwhile" in text(alices.post(address, follow=True))
        assert invite(alices, tenant) != link

    def test_an_invitation_of_another_tenant_is_not_there(
        self, alices: Client, client: Client, charlie: User, tenant: Tenant
    ) -> None:
        invite(alices, tenant)
        client.force_login(charlie)
        elsewhere, invitation = Tenant.objects.get(name="Elsewhere"), Invitation.objects.get()
        for name in ("invitation_resend", "invitation_withdraw"):
            for where in (tenant, elsewhere):
                assert client.post(reverse(name, args=[where.pk, invitation.pk])).status_code == 404
        assert Invitation.objects.get().works

    def test_each_change_leaves_one_row(self, alices: Client, tenant: Tenant) -> None:
        invite(alices, tenant)
        (invitation,) = Invitation.objects.all()
        for name in ("invitation_resend", "invitation_withdraw"):
            alices.post(reverse(name, args=[tenant.pk, invitation.pk]))
        rows = AuditEvent.objects.filter(target_id=invitation.pk, tenant_id=tenant.pk).order_by("id")
        verbs = ["invitation.create", "invitation.resend", "invitation.withdraw"]
        assert [row.verb for row in rows] == verbs


class TestAccepting:
    def test_somebody_new_sets_name_and_password_and_signs_in(self, alices: Client, tenant: Tenant) -> None:
        client, page = opened(invite(alices, tenant))
        assert "Join Harbor" in text(page)
        assert "t=" not in page.redirect_chain[-1][0], "the token leaves the address at once"
        answer = accept(client)
        assert answer["Location"] == f"{reverse('login')}?next={reverse('invitation_open')}"
        nora = User.objects.get(email=NEW)
        member = Membership.objects.get(user=nora)
        assert (nora.name, member.tenant, member.is_admin, member.is_active) == ("Nora New", tenant, False, True)
        signed_in = client.post(
            answer["Location"], {"username": NEW, "password": PASSWORD, "next": reverse("invitation_open")}, follow=True
        )
        assert "Welcome to Harbor." in text(signed_in)
        assert AuditEvent.objects.filter(verb="invitation.accept", actor_id=nora.pk).count() == 1

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"again": "another long password"}, "again"),
            ({"password": "short", "again": "short"}, "password"),
            ({"password": NEW, "again": NEW}, "password"),
            ({"password": "", "again": ""}, "password"),
            ({"name": ""}, "name"),
        ],
    )
    def test_what_is_typed_badly_is_said_at_its_field(
        self, alices: Client, tenant: Tenant, changed: dict[str, str], field: str
    ) -> None:
        client, _ = opened(invite(alices, tenant))
        answer = accept(client, **changed)
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
        assert PASSWORD not in text(answer)
        assert Invitation.objects.get().works

    def test_somebody_of_another_tenant_signs_in_and_joins(self, alices: Client, charlie: User, tenant: Tenant) -> None:
        client, _ = opened(invite(alices, tenant, charlie.email))
        client.post(reverse("login"), {"username": charlie.email, "password": PASSWORD})
        page = client.get(reverse("invitation_open"))
        assert f"You are signed in as {charlie.email}" in text(page)
        assert not Membership.objects.filter(tenant=tenant, user=charlie).exists(), "looking is not joining"
        assert "Welcome to Harbor." in text(client.post(reverse("invitation_open"), follow=True))
        assert Membership.objects.filter(user=charlie).count() == 2

    def test_the_page_and_its_answer_are_the_same_whoever_has_the_address(
        self, alices: Client, charlie: User, tenant: Tenant
    ) -> None:
        pages = []
        for email in (charlie.email, "nobody@elsewhere.example"):
            client, page = opened(invite(alices, tenant, email))
            answer = accept(client)
            after = client.get(answer["Location"])
            shown = [re.sub(r"\w+@elsewhere\.example|value=\"\w{64}\"", "·", text(each)) for each in (page, after)]
            pages.append((*shown, answer.status_code, answer["Location"]))
        assert pages[0] == pages[1]
        charlie.refresh_from_db()
        assert charlie.check_password(PASSWORD)
        assert charlie.name == ""
        assert not Membership.objects.filter(tenant=tenant, user=charlie).exists()

    def test_somebody_else_who_is_signed_in_cannot_use_it(self, alices: Client, charlie: User, tenant: Tenant) -> None:
        link = invite(alices, tenant)
        client = Client()
        client.force_login(charlie)
        page = opened(link, client)[1]
        assert f"This invitation is for {NEW}" in text(page)
        answer = client.post(reverse("invitation_open"))
        assert answer.status_code == 422
        assert "This invitation is for somebody else." in text(answer)
        assert not Membership.objects.filter(tenant=tenant, user=charlie).exists()

    def test_used_twice(self, alices: Client, tenant: Tenant) -> None:
        link = invite(alices, tenant)
        first, second = opened(link)[0], opened(link)[0]
        accept(first)
        answer = accept(second, name="Mallory", password="quite another password", again="quite another password")
        assert answer.status_code == 410
        assert "This invitation was used already" in text(answer)
        assert User.objects.get(email=NEW).check_password(PASSWORD)
        assert User.objects.get(email=NEW).name == "Nora New"

    def test_expired(self, alices: Client, tenant: Tenant) -> None:
        link = invite(alices, tenant)
        client, _ = opened(link)
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        for answer in (opened(link)[1], accept(client)):
            assert answer.status_code == 410
            assert "This invitation has ended" in text(answer)
        assert not User.objects.filter(email=NEW).exists()
        page = text(alices.get(reverse("user_list", args=[tenant.pk])))
        assert "The link has ended" in page

    @pytest.mark.parametrize(
        "link", ["/invitation/?t=", "/invitation/?t=made-up", "/invitation/", "/invitation/?t=%00"]
    )
    def test_no_such_link(self, client: Client, link: str) -> None:
        page = opened(link, client)[1]
        assert page.status_code == 410
        assert "This link does not work" in text(page)

    def test_a_used_link_gives_no_role_to_who_is_in_already(self, alices: Client, alice: User, tenant: Tenant) -> None:
        """Somebody who was added otherwise meanwhile stays as they were."""
        link = invite(alices, tenant)
        nora = User.objects.create_user(NEW, PASSWORD)
        Membership.objects.create(tenant=tenant, user=nora, is_active=False)
        client = Client()
        client.force_login(nora)
        opened(link, client)
        client.post(reverse("invitation_open"))
        assert Membership.objects.get(user=nora).is_active is False
