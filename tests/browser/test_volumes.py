"""What becomes of each volume, foretold on the form of *Backup now*, and what Velero then does with them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.stack import EMAIL
from tests.stack import Stack, unique

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(240)]
ENDED = 60_000
BACK_UP = """
from accounts.models import User
from backups.actions.backup import request_backup
from bench.mainjob import LOCATION, finished
from backups.models import BackupLocation
from workspaces.models import Cluster
from datetime import timedelta
backup = finished(request_backup(
    by=User.objects.get(email={email!r}), cluster=Cluster.objects.get(name="harbor-east", project__name="Default"),
    location=BackupLocation.objects.get(name=LOCATION), name={name!r}, keep_for=timedelta(days=1),
    include_disks=True, namespaces=["intranet", "shop-data"]))
answer = [backup.phase, sorted(key for key in backup.resource["status"] if "Snapshots" in key)]
"""


def test_it_is_looked_up_as_the_page_opens_and_as_namespaces_are_ticked(
    signed_in: Page, ids: dict[str, str], violations: Callable[[Page], list[str]]
) -> None:
    page = signed_in
    page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
    volumes = page.get_by_role("region", name="What becomes of each volume")
    expect(volumes.get_by_text("sea-charts")).to_be_visible(timeout=ENDED)
    expect(volumes.get_by_text("There are no snapshots of nfs volumes.")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("shop-data", exact=True).check()
    expect(volumes.get_by_text("sea-charts")).to_be_hidden(timeout=ENDED)
    expect(volumes.get_by_text("It has no volume yet (Pending).").first).to_be_visible(timeout=ENDED)
    page.get_by_label("Backup name").press("Enter")
    expect(page).not_to_have_url(re.compile("backups/create"))


def test_without_scripts_a_button_does_it(chromium: Browser, stack: Stack, ids: dict[str, str]) -> None:
    context = chromium.new_context(base_url=stack.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(stack.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Backup name").fill("as-typed")
    until = time.monotonic() + 60
    while not page.get_by_text("sea-charts").is_visible() and time.monotonic() < until:
        page.get_by_role("button", name="Look up now").click()
        time.sleep(0.5)
    expect(page.get_by_text("sea-charts")).to_be_visible()
    expect(page.get_by_label("Backup name")).to_have_value("as-typed")
    context.close()


def test_velero_then_takes_no_snapshot_where_none_was_foretold(stack: Stack) -> None:
    """Claims without a volume are no error either: this Velero runs without CSI snapshots."""
    assert stack.shell(BACK_UP.format(email=EMAIL, name=unique("disks"))) == ["Completed", []]
