"""The frame in a real browser, without clusters: policy, accessibility, themes, phones, live parts, sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import include, path
from playwright.sync_api import Browser, Page, Route, expect

from accounts.actions import add_tenant_admin, create_tenant
from accounts.models import Session, Tenant, User
from backups.models import Backup
from console import styleguide, views
from tests.conftest import PASSWORD, make_cluster, make_location
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Project

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:No directory at"),  # static files come from their sources here, not collected
]

SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


class UrlsWithStyleguide:
    """The style guide is there with DEBUG only; here it is shown without."""

    urlpatterns = [path("styleguide", styleguide.styleguide, name="styleguide"), path("", include("console.urls"))]
    handler500 = staticmethod(views.server_error)


@pytest.fixture(autouse=True)
def _with_styleguide(settings: Any) -> None:
    settings.ROOT_URLCONF = UrlsWithStyleguide


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    return create_tenant(by=None, name="Harbor")


@pytest.fixture
def alice(tenant: Tenant) -> User:
    return add_tenant_admin(by=None, tenant=tenant, email="alice@harbor.example", password=PASSWORD)


@pytest.fixture
def cluster(tenant: Tenant) -> Cluster:
    return make_cluster(create_project(by=None, tenant=tenant, name="Payments"), "harbor-east")


@pytest.fixture
def open_page(chromium: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """A browser of its own; at the end, its console holds no error and no violation of the content policy."""
    contexts, said = [], list[str]()

    def act(width: int = 1280, scheme: Any = "light", script: bool = True) -> Page:
        size: Any = {"width": width, "height": 800}
        context = chromium.new_context(
            base_url=live_server.url, viewport=size, color_scheme=scheme, java_script_enabled=script
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield act
    for context in contexts:
        context.close()
    answers = ("status of 404", "status of 422", "ERR_FAILED")  # asked for by the tests themselves
    assert not [text for text in said if not any(answer in text for answer in answers)]


def sign_in(page: Page, person: User) -> None:
    page.goto("/login/")
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login" not in url)


def end_sessions() -> None:
    Session.objects.all().delete()


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_pages_are_accessible_and_never_wider_than_the_screen(
    open_page: Callable[..., Page],
    violations: Callable[[Page], list[str]],
    alice: User,
    cluster: Cluster,
    width: int,
    scheme: str,
) -> None:
    page = open_page(width, scheme)
    seen = {"/login/": _judged(page, "/login/", violations)}
    sign_in(page, alice)
    for address in ("/styleguide", "/", "/profile/", "/profile/password/", "/session/", "/no/such/page/"):
        seen[address] = _judged(page, address, violations)
    assert seen == {address: ([], width) for address in seen}


def _judged(page: Page, address: str, violations: Callable[[Page], list[str]]) -> tuple[list[str], int]:
    page.goto(address)
    return violations(page), page.evaluate("document.documentElement.scrollWidth")


def test_the_theme_is_ones_own_choice_and_stays(open_page: Callable[..., Page], alice: User, cluster: Cluster) -> None:
    page = open_page()
    sign_in(page, alice)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.goto("/profile/")
    page.locator("main").get_by_role("button", name="Dark").click()
    assert page.evaluate(background) != light
    page.goto("/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(background) != light


def test_the_menu_is_a_drawer_on_a_phone(open_page: Callable[..., Page], alice: User, cluster: Cluster) -> None:
    page = open_page(390)
    sign_in(page, alice)
    side, button = page.locator("#side"), page.get_by_role("button", name="Menu", exact=True)
    expect(side).to_be_hidden()
    button.click()
    expect(side).to_be_visible()
    assert page.evaluate("document.activeElement.closest('#side') !== null"), "the focus goes along"
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    side.get_by_role("link", name="Clusters").click()
    expect(page.get_by_role("heading", name="Clusters", level=1)).to_be_visible()


def test_without_scripts_one_still_gets_everywhere(
    open_page: Callable[..., Page], alice: User, cluster: Cluster
) -> None:
    page = open_page(390, script=False)
    sign_in(page, alice)
    page.locator("#side").get_by_role("link", name="Clusters").click()
    page.get_by_role("link", name="harbor-east").first.click()
    expect(page.get_by_role("heading", name="harbor-east", level=1)).to_be_visible()
    page.locator("summary", has_text="Your menu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_by_keyboard_alone(open_page: Callable[..., Page], alice: User, cluster: Cluster) -> None:
    page = open_page()
    sign_in(page, alice)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    menu = page.locator("summary", has_text="Your menu")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Your profile")).to_be_hidden()
    expect(menu).to_be_focused()


def test_a_change_is_seen_without_a_reload_and_disturbs_nothing(
    open_page: Callable[..., Page], alice: User, cluster: Cluster
) -> None:
    page = open_page()
    sign_in(page, alice)
    backup = _running_backup(cluster)
    page.goto(f"/clusters/{cluster.pk}/backup-restore/")
    expect(page.get_by_text("42 of 160 items")).to_be_visible()
    page.get_by_role("link", name="nightly").focus()
    page.evaluate("document.querySelector('tbody tr').planted = true")
    Backup.objects.filter(pk=backup.pk).update(items_done=80)
    expect(page.get_by_text("80 of 160 items")).to_be_visible(timeout=2000)
    Backup.objects.filter(pk=backup.pk).update(state="completed", items_done=160)
    expect(page.locator(".badge", has_text="Completed")).to_be_visible(timeout=2000)
    expect(page.get_by_role("link", name="nightly")).to_be_focused()
    assert page.evaluate("document.querySelector('tbody tr').planted"), "the row is the same one, changed in place"
    expect(page.locator("[data-live-says]")).to_have_text("nightly: Completed")


def test_a_lost_connection_is_said_and_so_is_its_return(
    open_page: Callable[..., Page], alice: User, cluster: Cluster
) -> None:
    page = open_page()
    sign_in(page, alice)
    _running_backup(cluster)
    address = f"**/clusters/{cluster.pk}/backup-restore/"
    page.goto(f"/clusters/{cluster.pk}/backup-restore/")

    def cut(route: Route) -> None:
        route.abort()

    page.route(address, cut)
    banner = page.locator("[data-stale]")
    expect(banner).to_contain_text("Live updates stopped", timeout=8000)
    expect(banner).to_be_visible()
    page.unroute(address, cut)
    expect(banner).to_be_hidden(timeout=12_000)


def test_a_live_page_says_that_one_was_signed_out(
    open_page: Callable[..., Page], alice: User, cluster: Cluster
) -> None:
    page = open_page()
    sign_in(page, alice)
    _running_backup(cluster)
    address = f"/clusters/{cluster.pk}/backup-restore/"
    page.goto(address)
    end_sessions()
    page.get_by_role("link", name="Sign in again").first.click()
    page.wait_for_url(f"**/login/?next={address}")


def test_a_page_that_is_gone_says_so(open_page: Callable[..., Page], alice: User, cluster: Cluster) -> None:
    page = open_page()
    sign_in(page, alice)
    _running_backup(cluster)
    page.goto(f"/clusters/{cluster.pk}/backup-restore/")
    alice.memberships.all().delete()
    expect(page.get_by_text("you may no longer see it")).to_be_visible(timeout=3000)


def test_a_form_waits_for_a_new_sign_in_and_loses_nothing(
    open_page: Callable[..., Page], alice: User, cluster: Cluster
) -> None:
    page = open_page()
    sign_in(page, alice)
    page.clock.install()
    page.goto("/profile/")
    page.get_by_label("Name").fill("Alice of the harbour")
    end_sessions()
    page.clock.fast_forward(timedelta(minutes=10).seconds * 1000)
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="You have been signed out")
    expect(dialog).to_be_visible()
    with page.context.expect_page() as opened:
        dialog.get_by_role("link", name="Sign in again").click()
    other = opened.value
    other.get_by_label("E-mail address").fill(alice.email)
    other.get_by_label("Password", exact=True).fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", name="You are signed in again")).to_be_visible()
    other.close()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # headless pages are never hidden
    expect(page.get_by_text("Your profile is saved.")).to_be_visible()
    alice.refresh_from_db()
    assert alice.name == "Alice of the harbour"


def test_confirming_by_name_opens_here_and_wakes_its_button(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/styleguide")
    page.get_by_role("link", name="Delete backup").click()
    dialog = page.get_by_role("dialog", name="Delete before-upgrade?")
    button = dialog.get_by_role("button", name="Delete backup")
    expect(button).to_be_disabled()
    dialog.get_by_label("Type before-upgrade to confirm").fill("before-upgrad")
    expect(button).to_be_disabled()
    dialog.get_by_label("Type before-upgrade to confirm").fill("before-upgrade")
    expect(button).to_be_enabled()
    dialog.get_by_role("link", name="Cancel").click()
    expect(dialog).to_have_count(0)


def _running_backup(cluster: Cluster) -> Backup:
    project: Project = cluster.project
    return Backup.objects.create(
        project=project,
        cluster=cluster,
        location=make_location(project),
        name="nightly",
        object_name="nightly-x7f2k9qa",
        state="running",
        keep_for=timedelta(days=7),
        items_done=42,
        items_total=160,
    )
