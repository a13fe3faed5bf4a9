"""What a person does from signing in to a restored cluster, and what happens when things go wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from sandbox import control
from tests.stack import Stack, unique

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(240)]
ENDED = 60_000


@pytest.fixture
def back_up(signed_in: Page, ids: dict[str, str]) -> Callable[..., str]:
    """Creates a backup of harbor-east in the browser and stays on its page; gives its name."""

    def act(**fields: str) -> str:
        name = unique("walk")
        signed_in.goto(f"/clusters/{ids['harbor-east']}/backup-restore/")
        signed_in.get_by_role("link", name="Create backup").first.click()
        signed_in.get_by_label("Backup name").fill(name)
        signed_in.get_by_label(fields.get("namespace", "shop"), exact=True).check()
        signed_in.get_by_role("button", name="Back up now").click()
        expect(signed_in.get_by_role("heading", name=name)).to_be_visible()
        return name

    return act


def completed(page: Page) -> None:
    expect(page.locator(".badge", has_text="Completed").first).to_be_visible(timeout=ENDED)


def test_from_signing_in_to_a_restored_cluster(
    signed_in: Page, back_up: Callable[..., str], violations: Callable[[Page], list[str]]
) -> None:
    page, name = signed_in, back_up()
    completed(page)
    assert violations(page) == []
    page.get_by_role("link", name="Restore", exact=True).first.click()
    page.get_by_label(re.compile("harbor-west")).check()
    assert violations(page) == []
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("harbor-west").first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Confirm Restore").click()
    expect(page.get_by_text("Restore into harbor-west")).to_be_visible()
    completed(page)
    page.get_by_role("link", name="Restores", exact=True).click()
    expect(page.get_by_role("link", name=name)).to_be_visible()


def test_the_log_shows_searches_and_downloads(signed_in: Page, back_up: Callable[..., str]) -> None:
    page = signed_in
    back_up()
    completed(page)
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.locator("#log-text")).to_contain_text("Setting up backup", timeout=ENDED)
    page.get_by_label("Search in the log").fill("no such words anywhere")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#log-text")).to_contain_text("No line matches")
    page.goto(page.url.split("?")[0])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "level" in download.value.path().read_text()


def test_wrong_password(page: Page) -> None:
    page.goto("/")
    page.get_by_label("E-mail address").fill("admin@example.com")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The e-mail address or the password is not right")).to_be_visible()
    expect(page.get_by_label("E-mail address")).to_have_value("admin@example.com")


def test_a_session_that_expires_in_the_middle_of_a_wizard(
    signed_in: Page, context: BrowserContext, back_up: Callable[..., str], sign_in: Callable[[], Page]
) -> None:
    page = signed_in
    back_up()
    completed(page)
    page.get_by_role("link", name="Restore", exact=True).first.click()
    page.get_by_label(re.compile("harbor-west")).check()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Other namespaces").fill("typed-before-it-expired")
    page.get_by_label("Preserve node ports").check()  # leaving the field saves what was typed
    page.wait_for_load_state("networkidle")
    context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    sign_in()
    expect(page.get_by_label("Other namespaces")).to_have_value("typed-before-it-expired")
    expect(page.get_by_label("Preserve node ports")).to_be_checked()


def test_two_clicks_make_one_backup(signed_in: Page, ids: dict[str, str], stack: Stack) -> None:
    page, name = signed_in, unique("twice")
    page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
    page.get_by_label("Backup name").fill(name)
    page.get_by_label("intranet", exact=True).check()
    page.get_by_role("button", name="Back up now").dblclick()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert stack.shell(f"from backups.models import Backup\nanswer = Backup.objects.filter(name='{name}').count()") == 1


def test_a_cluster_that_is_away_is_said_and_the_wish_is_kept(
    stack: Stack, signed_in: Page, ids: dict[str, str]
) -> None:
    page, name = signed_in, unique("away")
    control.stop_api_server(stack.state, "harbor-east", kill=True)
    try:
        page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
        page.get_by_label("Backup name").fill(name)
        page.get_by_label("intranet", exact=True).check()
        page.get_by_role("button", name="Back up now").click()
        expect(
            page.get_by_text(re.compile("cannot be reached|could not be reached|No connection|refuses")).first
        ).to_be_visible(timeout=ENDED)
    finally:
        control.start_api_server(stack.state, "harbor-east")
    completed(page)


def test_a_cluster_stopped_during_a_backup(stack: Stack, signed_in: Page, back_up: Callable[..., str]) -> None:
    page = signed_in
    control.stop_velero(stack.state, "harbor-east")
    back_up()
    expect(page.locator(".badge", has_text="Queued").first).to_be_visible(timeout=ENDED)
    control.stop_api_server(stack.state, "harbor-east", kill=True)
    try:
        expect(page.get_by_text("harbor-east cannot be reached since")).to_be_visible(timeout=ENDED)
    finally:
        control.start_api_server(stack.state, "harbor-east")
        control.start_velero(stack.state, "harbor-east")
    completed(page)
    expect(page.get_by_text("harbor-east cannot be reached since")).to_be_hidden()


def test_a_backup_that_fails_in_part_says_where_and_why(signed_in: Page, ids: dict[str, str]) -> None:
    page, name = signed_in, unique("partly")
    page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
    page.get_by_label("Backup name").fill(name)
    page.get_by_label("intranet", exact=True).check()
    page.get_by_label("Other namespaces").fill("no-such-namespace")
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator(".badge", has_text="Partially failed").first).to_be_visible(timeout=ENDED)
    expect(page.get_by_role("heading", name="Warnings and errors")).to_be_visible(timeout=ENDED)
    expect(page.get_by_text("no-such-namespace").first).to_be_visible()
    expect(page.get_by_role("link", name="Restore", exact=True).first).to_be_visible()


def test_the_page_says_when_it_is_stale(signed_in: Page, context: BrowserContext, back_up: Callable[..., str]) -> None:
    page = signed_in
    back_up()
    context.set_offline(True)
    stale = page.locator("[data-stale-kind=lost]")
    expect(stale).to_contain_text(re.compile(r"Live updates stopped \d+ s ago"), timeout=30_000)
    expect(stale).to_be_visible()
    context.set_offline(False)
    expect(stale).to_be_hidden(timeout=30_000)


def test_two_hundred_backups_page_and_search(signed_in: Page, ids: dict[str, str], stack: Stack) -> None:
    stack.shell(
        "from datetime import timedelta\nfrom backups.models import *\nfrom backups import lifecycle\n"
        "from workspaces.models import Cluster\n"
        "west = Cluster.objects.get(name='harbor-west', project__name='Default')\n"
        "store = BackupLocation.objects.get(name='harbor-store')\n"
        "rows = [Backup(project=west.project, cluster=west, location=store, name=f'old-{n:03}', state='completed',\n"
        "        phase='Completed', object_name=lifecycle.object_name(f'old-{n:03}'), keep_for=timedelta(days=1),\n"
        "        due_at=None) for n in range(200)]\n"
        "Backup.objects.bulk_create([r for r in rows if not Backup.objects.filter(name=r.name).exists()])"
    )
    page = signed_in
    page.goto(f"/clusters/{ids['harbor-west']}/backup-restore/")
    expect(page.locator("tbody tr")).to_have_count(25)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("Page 2 of")).to_be_visible()
    page.get_by_label("Search by name, location or person").fill("old-123")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_at_both_widths(
    signed_in: Page, ids: dict[str, str], violations: Callable[[Page], list[str]], width: int
) -> None:
    page, east, project = signed_in, ids["harbor-east"], ids["project"]
    page.set_viewport_size({"width": width, "height": 844})
    addresses = [
        f"/projects/{project}/", f"/projects/{project}/clusters/", f"/projects/{project}/settings/locations/",
        f"/clusters/{east}/", f"/clusters/{east}/backup-restore/", f"/clusters/{east}/backup-restore/restores/",
        f"/clusters/{east}/events/", f"/clusters/{east}/settings/", f"/clusters/{east}/settings/schedule-backups/",
        f"/clusters/{east}/settings/kubeconfig/", f"/clusters/{east}/settings/deregister/",
        f"/clusters/{east}/backups/create/", f"/projects/{project}/settings/locations/add/",
        f"/projects/{project}/clusters/register/",
    ]  # fmt: skip
    for address in addresses:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert violations(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{address} is wider than the window"
