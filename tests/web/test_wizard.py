"""The wizard engine, by a small wizard of its own: a name, a secret, a review."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django import forms
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, User
from console.lib.errors import BadInput
from workspaces import wizard
from workspaces.models import Draft, Project, Workspace
from workspaces.wizard import Step, Wizard

SECRET = "planted-wizard-secret"


class NameForm(forms.Form):
    name = forms.CharField(max_length=20)
    size = forms.ChoiceField(choices=[("s", "Small"), ("l", "Large")])


class KeyForm(forms.Form):
    secret_fields = ("key",)
    key = forms.CharField(widget=forms.PasswordInput)
    loud = forms.BooleanField(required=False)


def _finish(draft: Draft, user: User, typed: Mapping[str, Any]) -> str:
    name = typed["name"].cleaned_data["name"]
    if name == "taken":
        raise BadInput("This name is taken.", field="name", remedy="Choose another.")
    assert typed["key"].cleaned_data["key"] == SECRET
    Workspace.objects.create(project=draft.project, name=name)
    return reverse("profile")


KNOCK = Wizard(
    kind="knock",
    title="Knock",
    steps=(
        Step("name", "Name", lambda draft, data: NameForm(data)),
        Step("key", "Key", lambda draft, data: KeyForm(data)),
    ),
    finish=_finish,
)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(wizard._wizards, KNOCK.kind, KNOCK)
    yield


@pytest.fixture
def draft(alice: User, project: Project) -> Draft:
    wizard.begin(KNOCK, owner=alice, project=project)
    return Draft.objects.get()


def url(draft: Draft, slug: str) -> str:
    return wizard.step_url(draft, slug)


def text(response: Any) -> str:
    return str(response.content.decode())


def fill(client: Client, draft: Draft, name: str = "front") -> None:
    client.post(url(draft, "name"), {"name": name, "size": "l"})
    client.post(url(draft, "key"), {"key": SECRET})


def test_step_by_step_to_the_end(alices: Client, draft: Draft) -> None:
    assert "Step 1 of 3" in text(alices.get(url(draft, "name")))
    assert alices.post(url(draft, "name"), {"name": "front", "size": "l"})["Location"] == url(draft, "key")
    assert alices.post(url(draft, "key"), {"key": SECRET, "loud": "on"})["Location"] == url(draft, "review")
    review = text(alices.get(url(draft, "review")))
    assert "front" in review and "Large" in review and "Yes" in review and "Set" in review
    assert alices.post(url(draft, "review"))["Location"] == reverse("profile")
    assert Workspace.objects.get().name == "front"


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(alices: Client, draft: Draft) -> None:
    answer = alices.post(url(draft, "name"), {"name": "far too long for a name", "size": "l"})
    page = text(answer)
    assert answer.status_code == 422
    assert "at most 20 characters" in page and 'value="far too long for a name"' in page
    assert '<option value="l" selected>' in page


def test_back_keeps_what_is_half_typed(alices: Client, draft: Draft) -> None:
    alices.post(url(draft, "name"), {"name": "front", "size": "l"})
    assert alices.post(url(draft, "key"), {"loud": "on", "go": "back"})["Location"] == url(draft, "name")
    assert 'value="front"' in text(alices.get(url(draft, "name")))
    assert re.search(r'name="loud"[^>]* checked', text(alices.get(url(draft, "key"))))


def test_saving_while_typing_answers_nothing(alices: Client, draft: Draft) -> None:
    assert alices.post(url(draft, "name"), {"name": "fro", "go": "save"}).status_code == 204
    assert 'value="fro"' in text(alices.get(url(draft, "name")))


def test_it_is_resumed_in_another_session_with_what_was_typed(alices: Client, alice: User, draft: Draft) -> None:
    alices.post(url(draft, "name"), {"name": "front", "size": "l"})
    alices.post(reverse("logout"))
    refused = alices.get(url(draft, "key"))
    assert refused["Location"] == f"{reverse('login')}?next={url(draft, 'key')}"
    alices.force_login(alice)
    assert 'value="front"' in text(alices.get(url(draft, "name")))


def test_the_review_waits_for_every_step(alices: Client, draft: Draft) -> None:
    assert alices.get(url(draft, "review"))["Location"] == url(draft, "name")
    alices.post(url(draft, "name"), {"name": "front", "size": "l"})
    assert alices.post(url(draft, "review"))["Location"] == url(draft, "key")
    assert not Workspace.objects.exists()


def test_confirming_twice_makes_one(alices: Client, draft: Draft) -> None:
    fill(alices, draft)
    assert [alices.post(url(draft, "review"))["Location"] for _ in range(3)] == [reverse("profile")] * 3
    assert Workspace.objects.count() == 1
    assert alices.get(url(draft, "name"))["Location"] == reverse("profile"), "the way back leads to what was made"


def test_a_refused_end_leads_to_the_field_at_fault(alices: Client, draft: Draft) -> None:
    fill(alices, draft, name="taken")
    answer = alices.post(url(draft, "review"))
    assert answer.status_code == 422
    assert "This name is taken. Choose another." in text(answer) and f'href="{url(draft, "name")}"' in text(answer)
    alices.post(url(draft, "name"), {"name": "free", "size": "s"})
    assert alices.post(url(draft, "review"))["Location"] == reverse("profile"), "nothing else has to be typed again"


def test_a_secret_is_never_shown_again_and_blank_keeps_it(alices: Client, draft: Draft) -> None:
    fill(alices, draft)
    pages = [text(alices.get(url(draft, slug))) for slug in ("name", "key", "review")]
    assert not [page for page in pages if SECRET in page]
    alices.post(url(draft, "key"), {"key": "", "loud": "on"})
    alices.post(url(draft, "review"))
    assert Workspace.objects.count() == 1, "the end saw the secret that was typed first"


def test_a_refused_secret_is_not_shown_either(alices: Client, draft: Draft) -> None:
    page = text(alices.post(url(draft, "name"), {"name": SECRET, "size": "x"}))
    assert SECRET in page, "a field that is no secret shows what was typed"
    assert SECRET not in text(alices.post(url(draft, "key"), {"key": SECRET, "go": "on", "loud": "on"}))


def test_nothing_is_left_once_it_is_done(alices: Client, draft: Draft) -> None:
    fill(alices, draft)
    alices.post(url(draft, "review"))
    draft.refresh_from_db()
    assert draft.data == {} and draft.done_url


def test_what_was_typed_is_sealed_in_the_database(alices: Client, draft: Draft) -> None:
    from django.db import connection

    fill(alices, draft)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM workspaces_draft")
        raw = str(cursor.fetchone())
    assert SECRET not in raw and "front" not in raw and raw.startswith("('v1.")


def test_it_is_its_creators_alone(client: Client, alice: User, charlie: User, draft: Draft) -> None:
    colleague = User.objects.create_user("bob@harbor.example", "a long enough password")
    Membership.objects.create(tenant=draft.project.tenant, user=colleague, is_admin=True)
    for stranger in (charlie, colleague):
        client.force_login(stranger)
        assert client.get(url(draft, "name")).status_code == 404
        assert client.post(url(draft, "name"), {"name": "theirs", "size": "s"}).status_code == 404
        assert client.post(url(draft, "review")).status_code == 404
    draft.refresh_from_db()
    assert draft.data == {}


def test_whoever_loses_the_role_loses_the_draft(alices: Client, alice: User, draft: Draft) -> None:
    Membership.objects.filter(user=alice).update(is_admin=False)
    assert alices.get(url(draft, "name")).status_code == 404


@pytest.mark.parametrize("slug", ["nothing", "names"])
def test_there_are_no_other_steps(alices: Client, draft: Draft, slug: str) -> None:
    assert alices.get(url(draft, slug)).status_code == 404
    missing = reverse("wizard_step", args=[uuid.uuid4(), "name"])
    assert alices.get(missing).status_code == 404


def test_only_get_and_post(alices: Client, draft: Draft) -> None:
    assert alices.delete(url(draft, "name")).status_code == 405


def test_nobody_signed_in_changes_nothing(client: Client, draft: Draft) -> None:
    answer = client.post(url(draft, "name"), {"name": "front", "size": "s"})
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("login"))
    draft.refresh_from_db()
    assert draft.data == {}


def test_a_day_untouched_and_it_is_gone(draft: Draft, alice: User, project: Project) -> None:
    wizard.begin(KNOCK, owner=alice, project=project)
    Draft.objects.filter(pk=draft.pk).update(updated_at=timezone.now() - timedelta(hours=25))
    assert wizard.purge_drafts() == 1
    assert Draft.objects.count() == 1 and not Draft.objects.filter(pk=draft.pk).exists()
