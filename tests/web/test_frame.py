"""What surrounds every page: signing in and out, menus, error pages, probes, live fragments, the content policy."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse

from accounts.models import AuditEvent, User
from backups.models import Backup, BackupLocation
from console import views
from console.lib import provisioning, queue
from console.lib.errors import Forbidden, Unreachable
from tests.conftest import PASSWORD
from workspaces.models import Cluster, Project

REFERENCE = re.compile(r'id="reference">([^<]+)<')


def text(response: Any) -> str:
    return str(response.content.decode())


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: str) -> Any:
    return client.post(reverse("login"), {"username": email, "password": password, **extra})


# Signing in and out


def test_signing_in_leads_to_where_one_wanted_to_go(client: Client, alice: User, project: Project) -> None:
    wanted = reverse("profile")
    asked = client.get(wanted)
    assert asked["Location"] == f"{reverse('login')}?next={wanted}"
    page = text(client.get(asked["Location"]))
    assert f'name="next" value="{wanted}"' in page
    assert sign_in(client, alice.email, next=wanted)["Location"] == wanted


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_signing_in_never_leads_elsewhere(client: Client, alice: User, elsewhere: str) -> None:
    assert sign_in(client, alice.email, next=elsewhere)["Location"] == reverse("home")


def test_a_wrong_password_is_said_and_the_address_is_kept(client: Client, alice: User) -> None:
    page = text(sign_in(client, alice.email, "planted-wrong-password"))
    assert "The e-mail address or the password is not right." in page
    assert f'value="{alice.email}"' in page
    assert "planted-wrong-password" not in page


def test_an_unknown_address_and_a_deactivated_person_get_the_same_answer(
    client: Client, alice: User, charlie: User
) -> None:
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    answers = {
        re.sub(r'value="[^"]*"', "", text(sign_in(client, email, password)))
        for email, password in [(alice.email, "wrong"), ("nobody@nowhere.example", PASSWORD), (charlie.email, PASSWORD)]
    }
    assert len(answers) == 1


def test_every_attempt_leaves_one_row(client: Client, alice: User) -> None:
    before = AuditEvent.objects.count()
    sign_in(client, alice.email, "wrong")
    sign_in(client, "my-password-in-the-wrong-field")
    sign_in(client, alice.email)
    client.post(reverse("logout"))
    rows = list(AuditEvent.objects.order_by("id")[before:].values_list("verb", "outcome", "actor", "target"))
    assert rows == [
        ("session.create", "denied", "Drydock", alice.email),
        ("session.create", "denied", "Drydock", "unknown address"),
        ("session.create", "done", alice.email, alice.email),
        ("session.delete", "done", alice.email, alice.email),
    ]


def test_the_session_changes_its_key_at_sign_in(client: Client, alice: User) -> None:
    session = client.session
    session["planted"] = "before"
    session.save()
    before = session.session_key
    sign_in(client, alice.email)
    assert client.session.session_key != before


def test_signing_out_is_a_post(alices: Client) -> None:
    assert alices.get(reverse("logout")).status_code == 405
    assert alices.post(reverse("logout"))["Location"] == reverse("login")
    assert alices.get(reverse("profile")).status_code == 302


def test_the_session_can_be_asked_for(alices: Client, client: Client) -> None:
    assert alices.get(reverse("session"), headers={"Live": "1"}).status_code == 204
    assert "You are signed in again" in text(alices.get(reverse("session")))
    alices.post(reverse("logout"))
    assert alices.get(reverse("session"), headers={"Live": "1"}).status_code == 302


# One's own profile


def test_the_time_zone_counts_from_the_next_page_on(alices: Client, alice: User, project: Project) -> None:
    answer = alices.post(reverse("profile"), {"name": "Alice", "time_zone": "Europe/Berlin"})
    assert answer["Location"] == reverse("profile")
    assert "Times in Europe/Berlin" in text(alices.get(reverse("profile")))
    assert AuditEvent.objects.filter(verb="user.update", target_id=str(alice.pk)).count() == 1


def test_an_unknown_time_zone_is_said_at_its_field(alices: Client, alice: User) -> None:
    page = text(alices.post(reverse("profile"), {"name": "Somebody Else", "time_zone": "Mars/Base"}))
    assert 'value="Mars/Base"' in page and "is not a time zone" in page and 'aria-describedby="id_time_zone' in page
    assert "Somebody Else" not in page.split("<main")[0], "the menu shows who one is, not what was typed"


def test_a_new_password_ends_the_other_sessions(alices: Client, alice: User) -> None:
    other = Client()
    other.force_login(alice)
    new = "three unrelated words"
    answer = alices.post(
        reverse("password_change"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    )
    assert answer["Location"] == reverse("profile")
    assert alices.get(reverse("profile")).status_code == 200
    assert other.get(reverse("profile")).status_code == 302
    assert AuditEvent.objects.filter(verb="user.password").count() == 1


def test_a_short_password_is_refused(alices: Client) -> None:
    answer = alices.post(
        reverse("password_change"), {"old_password": PASSWORD, "new_password1": "a", "new_password2": "a"}
    )
    assert answer.status_code == 200 and "too short" in text(answer)


# Menus


def test_home_leads_to_the_project_last_visited(
    alices: Client, project: Project, east: Cluster, store: BackupLocation
) -> None:
    Backup.objects.create(
        project=project, cluster=east, location=store, name="n", object_name="n-1", keep_for=timedelta(days=1)
    )
    second = Project.objects.create(tenant=project.tenant, name="Zeta")
    assert alices.get("/")["Location"] == reverse("project_overview", args=[project.pk])
    alices.get(reverse("project_overview", args=[second.pk]))
    assert alices.get("/")["Location"] == reverse("project_overview", args=[second.pk])


def test_somebody_without_a_project_is_told_whom_to_ask(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("new@harbor.example", PASSWORD))
    page = text(client.get("/"))
    assert "No project yet" in page and "Ask a Tenant Admin" in page and 'id="side"' not in page


def test_the_menu_names_the_page_one_is_on(alices: Client, project: Project, east: Cluster) -> None:
    side = text(alices.get(reverse("cluster_overview", args=[east.pk]))).split('id="side"')[1]
    here = re.findall(r'<a href="([^"]+)" aria-current="true"><svg[^>]*>.*?</svg>(\w+)', side)
    assert here == [(reverse("cluster_list", args=[project.pk]), "Clusters")]


def test_only_ones_own_projects_are_offered(alices: Client, charlie: User, project: Project) -> None:
    other = Project.objects.create(tenant=charlie.memberships.get().tenant, name="Charlies own")
    page = text(alices.get(reverse("profile")))
    assert project.name in page and other.name not in page and "Elsewhere" not in page


def test_every_entry_of_the_menu_leads_to_a_page(alices: Client, project: Project) -> None:
    side = text(alices.get(reverse("profile"))).split('id="side"')[1].split("</nav>")[0]
    addresses = re.findall(r'<a href="([^"]+)"', side)
    assert addresses
    assert {alices.get(address, follow=True).status_code for address in addresses} == {200}


def test_the_frame_costs_few_queries(
    alices: Client, project: Project, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    alices.get(reverse("session"))
    with django_assert_max_num_queries(4):  # session, person, projects, tenants
        alices.get(reverse("session"))


# When something goes wrong


def failing(request: HttpRequest, how: str) -> HttpResponse:
    if how == "bug":
        raise RuntimeError("planted-detail-of-a-bug")
    if how == "away":
        raise Unreachable("The cluster does not answer.", remedy="Check that it runs.")
    raise Forbidden("Your role may look, not touch.")


class UrlsWithFailures:
    urlpatterns = [path("failing/<slug:how>/", failing), path("", include("console.urls"))]
    handler500 = staticmethod(views.server_error)


@pytest.fixture
def failures(settings: Any, alices: Client) -> Client:
    settings.ROOT_URLCONF = UrlsWithFailures
    alices.raise_request_exception = False
    return alices


def test_a_page_that_is_not_there_carries_its_reference(alices: Client) -> None:
    answer = alices.get("/no/such/page/")
    found = REFERENCE.search(text(answer))
    assert answer.status_code == 404 and found and found.group(1) == answer["X-Request-ID"]


def test_what_one_may_not_see_looks_like_what_does_not_exist(client: Client, charlie: User, east: Cluster) -> None:
    client.force_login(charlie)
    answers = [client.get(reverse("cluster_overview", args=[pk])) for pk in (east.pk, uuid.uuid4())]
    assert [answer.status_code for answer in answers] == [404, 404]
    bodies = {
        re.sub(r'csrfmiddlewaretoken" value="[^"]+"', "", REFERENCE.sub("", text(a))).replace(
            a.request["PATH_INFO"], ""
        )
        for a in answers
    }
    assert len(bodies) == 1


def test_a_stranger_gets_the_page_without_menus(client: Client, db: None) -> None:
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404 and 'id="side"' not in text(answer) and "Sign in" in text(answer)


def test_a_bug_shows_its_reference_and_nothing_else(failures: Client) -> None:
    answer = failures.get("/failing/bug/")
    found = REFERENCE.search(text(answer))
    assert answer.status_code == 500 and found and found.group(1) == answer["X-Request-ID"]
    assert "planted" not in text(answer)


def test_the_page_for_a_bug_needs_no_database(rf: Any, django_assert_num_queries: Callable[..., Any], db: None) -> None:
    with django_assert_num_queries(0):
        assert views.server_error(rf.get("/")).status_code == 500


def test_an_expected_failure_says_what_to_do(failures: Client) -> None:
    answer = failures.get("/failing/away/")
    assert answer.status_code == 502
    assert "The cluster does not answer." in text(answer) and "Check that it runs." in text(answer)


def test_what_a_role_does_not_allow_is_said(failures: Client) -> None:
    answer = failures.get("/failing/role/")
    assert answer.status_code == 403 and "Your role may look, not touch." in text(answer)


def test_a_form_of_another_session_is_refused_in_plain_words(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    answer = strict.post(reverse("logout"))
    assert answer.status_code == 403 and "The form was not sent" in text(answer)


# Probes


def test_healthz_asks_nobody(client: Client, db: None, django_assert_num_queries: Callable[..., Any]) -> None:
    with django_assert_num_queries(0):
        assert client.get("/healthz").content == b"ok\n"


@pytest.mark.parametrize(("there", "status"), [(True, 200), (False, 503)])
def test_readyz_says_what_is_missing(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, there: bool, status: int
) -> None:
    monkeypatch.setattr(queue, "reachable", lambda: there)
    answer = client.get("/readyz")
    assert answer.status_code == status
    assert answer.json() == {"ready": there, "missing": [] if there else ["queue"]}


def test_readyz_names_a_database_that_is_behind(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "reachable", lambda: True)
    monkeypatch.setattr(views, "_is_migrated", lambda: False)
    assert client.get("/readyz").json()["missing"] == ["migrations"]


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.0.0.7:8000", "[fd00::7]", "evil.example", "not a host"])
def test_probes_answer_whatever_the_host(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, probe: str, host: str
) -> None:
    """A kubelet and a load balancer ask under an address, without TLS."""
    settings.SECURE_SSL_REDIRECT = True
    monkeypatch.setattr(queue, "reachable", lambda: True)
    answer = client.get(probe, HTTP_HOST=host)
    assert (answer.status_code, dict(answer.cookies)) == (200, {})
    assert not {"Location", "Set-Cookie"} & set(answer.headers)
    assert "no-store" in answer.headers["Cache-Control"]
    assert host not in text(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/login/"),
        ("get", "/metrics"),
        ("get", "/healthz/"),
        ("get", "//healthz"),
        ("get", "/healthz/../login/"),
        ("get", "/readyz;x"),
        ("post", "/healthz"),
    ],
)
def test_nothing_else_answers_to_another_host(client: Client, db: None, method: str, path: str) -> None:
    assert getattr(client, method)(path, HTTP_HOST="10.0.0.7").status_code == 400


@pytest.mark.parametrize(
    ("token", "extra", "status"),
    [
        ("", {"REMOTE_ADDR": "127.0.0.1"}, 200),
        ("", {"REMOTE_ADDR": "203.0.113.9"}, 401),
        ("", {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 401),
        ("planted-token", {"REMOTE_ADDR": "127.0.0.1"}, 401),
        ("planted-token", {"HTTP_AUTHORIZATION": "Bearer wrong"}, 401),
        ("planted-token", {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer planted-token"}, 200),
    ],
)
def test_metrics_are_for_this_machine_or_for_the_token(
    client: Client,
    east: Cluster,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    extra: dict[str, str],
    status: int,
) -> None:
    settings.METRICS_TOKEN = token
    monkeypatch.setattr(queue, "depths", lambda: {"commands": 3})
    answer = client.get("/metrics", **extra)  # type: ignore[arg-type]
    assert answer.status_code == status
    shown = text(answer)
    assert ('drydock_clusters{state="healthy"} 1.0' in shown) == (status == 200)
    assert ('drydock_queue_depth{queue="commands"} 3.0' in shown) == (status == 200)


# The sandbox on its way


@pytest.fixture
def state_file(settings: Any, tmp_path: Path) -> Path:
    settings.SANDBOX_STATE = tmp_path / "state.json"
    return tmp_path / "state.json"


def stage(name: str, message: str = "") -> str:
    return json.dumps({"stage": name, "message": message, "progress": {"done": 1204, "total": 3492, "what": "etcd"}})


def test_a_sandbox_on_its_way_is_shown_and_asked_for_often(alices: Client, state_file: Path) -> None:
    state_file.write_text(stage("building", "Compiling."))
    answer = alices.get(reverse("sandbox_progress"), headers={"Live": "1"})
    assert "1,204 of 3,492 steps" in text(answer) and "34 %" in text(answer) and answer["Live-Interval"] == "300"


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"progress": 7}', stage("ready")])
def test_no_sandbox_or_a_ready_one_shows_nothing(alices: Client, state_file: Path, content: str | None) -> None:
    if content is not None:
        state_file.write_text(content)
    assert provisioning.read() is None
    assert "Your sandbox" not in text(alices.get(reverse("sandbox_progress"), headers={"Live": "1"}))


def test_a_sandbox_whose_part_died_is_still_shown(alices: Client, state_file: Path) -> None:
    state_file.write_text(stage("ready", "degraded: harbor-east/velero does not run"))
    assert "harbor-east/velero does not run" in text(alices.get(reverse("sandbox_progress"), headers={"Live": "1"}))


# Live fragments


def test_an_unchanged_fragment_costs_no_body(alices: Client, state_file: Path) -> None:
    address = reverse("sandbox_progress")
    first = alices.get(address, headers={"Live": "1"})
    again = alices.get(address, headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert again.status_code == 304 and not again.content and again["Live-Interval"] == "5000"
    state_file.write_text(stage("building"))
    assert alices.get(address, headers={"Live": "1", "If-None-Match": first["ETag"]}).status_code == 200


def test_a_csrf_token_alone_is_no_change(alices: Client, east: Cluster) -> None:
    address = reverse("cluster_overview", args=[east.pk])
    first = alices.get(address, headers={"Live": "1"})
    assert first.status_code == 200 and "<html" not in text(first)
    assert alices.get(address, headers={"Live": "1", "If-None-Match": first["ETag"]}).status_code == 304


def test_a_fragment_after_the_session_ended_leads_to_the_sign_in(alices: Client, east: Cluster) -> None:
    alices.post(reverse("logout"))
    answer = alices.get(reverse("cluster_overview", args=[east.pk]), headers={"Live": "1"})
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("login"))


# The content policy


def test_the_policy_allows_nothing_inline(alices: Client) -> None:
    policy = alices.get(reverse("profile"))["Content-Security-Policy"]
    assert "unsafe" not in policy and "object-src 'none'" in policy and "base-uri 'none'" in policy


def test_no_template_needs_anything_inline() -> None:
    inline = re.compile(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|javascript:", re.IGNORECASE)
    found = {str(file): inline.findall(file.read_text()) for file in Path("templates").rglob("*.html")}
    assert {name: hits for name, hits in found.items() if hits} == {}
    assert inline.findall('<p style="color:red" onclick="x()"><script>x</script>') != [], (
        "the pattern finds what it should"
    )
