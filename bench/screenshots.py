"""`make screenshots`: every page in its states, 1280 and 390 px wide, light and dark, into docs/screenshots/.

The real stack runs below; states that last only a moment, or that a healthy stack does not show, are rows written for
the occasion. Names read <page>-<width>-<theme>.png.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from playwright.sync_api import Browser, Page, sync_playwright

from bench import mainjob, stack

if TYPE_CHECKING:
    from backups.models import Backup, Restore

FOLDER = stack.CHECKOUT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--disable-quic"]
EMAIL, PASSWORD = "screenshots@example.com", "only for this throw-away console"
VIEWS = [(width, theme) for width in (1280, 390) for theme in ("light", "dark")]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="drydock-screenshots-") as folder:
        var = Path(folder)
        os.environ.update(stack.environment(var, 0))
        with stack.sandbox(var), stack.console(var) as url:
            django.setup()
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # rows are written while Playwright's loop is there
            mainjob.run()
            pages = seed()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for width, theme in VIEWS:
                    shoot(browser, url, pages, width, theme)
                browser.close()
    subprocess.run(
        ["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "64", "--", *FOLDER.glob("*.png")], check=False
    )
    print(f"{len(pages) * len(VIEWS)} pictures in {FOLDER.relative_to(stack.CHECKOUT)}/")
    return 0


def seed() -> dict[str, str]:
    """Rows in every state, and the address of each page by its picture's name."""
    from accounts.actions import add_tenant_admin
    from backups.models import Backup, BackupLocation
    from backups.views.restore_wizard import RESTORE
    from workspaces import wizard
    from workspaces.actions.project import create_project
    from workspaces.models import Cluster, Project, Wish

    assert issubclass(Backup, Wish)
    project = Project.objects.get()
    person = add_tenant_admin(by=None, tenant=project.tenant, email=EMAIL, password=PASSWORD)
    empty = create_project(by=person, tenant=project.tenant, name="Research")
    east, west = (Cluster.objects.get(name=name) for name in ("harbor-east", "harbor-west"))
    store, first = BackupLocation.objects.get(), Backup.objects.earliest("created_at")
    rows = _backups(first)
    restores = _restores(first, west)
    draft = wizard.begin(RESTORE, owner=person, project=project, backup=str(first.pk))
    return {
        "login": "",
        "overview": f"/projects/{project.pk}/",
        "overview-empty": f"/projects/{empty.pk}/",
        "clusters": f"/projects/{project.pk}/clusters/",
        "clusters-empty": f"/projects/{empty.pk}/clusters/",
        "cluster-register": f"/projects/{project.pk}/clusters/register/",
        "cluster": f"/clusters/{east.pk}/",
        "cluster-events": f"/clusters/{east.pk}/events/",
        "cluster-settings": f"/clusters/{east.pk}/settings/",
        "cluster-schedule": f"/clusters/{east.pk}/settings/schedule-backups/",
        "cluster-connection": f"/clusters/{east.pk}/settings/kubeconfig/",
        "cluster-deregister": f"/clusters/{east.pk}/settings/deregister/",
        "backups": f"/clusters/{east.pk}/backup-restore/",
        "backups-empty": f"/clusters/{west.pk}/backup-restore/",
        "backup-create": f"/clusters/{east.pk}/backups/create/",
        "backup": f"/backups/{first.pk}/",
        "backup-running": f"/backups/{rows['running']}/",
        "backup-partially-failed": f"/backups/{rows['partially_failed']}/",
        "backup-failed": f"/backups/{rows['failed']}/",
        "backup-rejected": f"/backups/{rows['rejected']}/",
        "backup-unknown": f"/backups/{rows['unknown']}/",
        "backup-log": f"/backups/{first.pk}/log/",
        "backup-yaml": f"/backups/{first.pk}/yaml/",
        "restore-target": draft,
        "restore-options": draft.replace("/target/", "/options/"),
        "restores": f"/clusters/{west.pk}/backup-restore/restores/",
        "restore": f"/restores/{restores['completed']}/",
        "restore-running": f"/restores/{restores['running']}/",
        "locations": f"/projects/{project.pk}/settings/locations/",
        "locations-empty": f"/projects/{empty.pk}/settings/locations/",
        "location": f"/locations/{store.pk}/",
        "location-add": f"/projects/{project.pk}/settings/locations/add/",
        "not-found": f"/backups/{uuid.uuid4()}/",
    }


def _backups(first: Backup) -> dict[str, str]:
    """One copy of the first backup for each state that needs a row of its own; their ids."""
    entry = {"severity": "error", "namespace": "shop-data", "count": 2, "remedy": "Raise the quota or back up less."}
    entry |= {"text": "error executing custom action: exceeded quota", "sentence": "A quota of the cluster is used up."}
    gone = "Velero was restarted while this backup ran, and gave it up. Start it again."
    wrong = "Velero in harbor-east cannot use the location: the secret key of the backup location is wrong."
    silent = "The request was sent to harbor-east, and no answer came."
    wanted: dict[str, dict[str, Any]] = {
        "running": {"phase": "InProgress", "items_done": 137, "items_total": 246, "completed_at": None},
        "partially_failed": {"errors": 2, "results": {"entries": [entry], "unread": ""}, "phase": "PartiallyFailed"},
        "failed": {"phase": "Failed", "message": gone},
        "rejected": {"phase": "", "message": wrong, "started_at": None, "completed_at": None, "items_done": 0},
        "unknown": {"phase": "", "message": silent, "started_at": None, "completed_at": None, "items_done": 0},
    }
    return {state: _copy(first, state, f"nightly-{state.replace('_', '-')}", **more) for state, more in wanted.items()}


def _restores(first: Backup, target: Any) -> dict[str, str]:
    done = first.restores.filter(cluster=target).earliest("created_at")
    running = {"phase": "InProgress", "items_done": 90, "items_total": 232, "completed_at": None, "results": None}
    return {"completed": str(done.pk), "running": _copy(done, "running", "", **running, errors=0, warnings=0)}


def _copy(row: Backup | Restore, state: str, name: str, **fields: Any) -> str:
    """A row like `row`. Nobody drives it on: it is due never, and no cluster is said to hold it."""
    copy = type(row)._default_manager.get(pk=row.pk)
    copy.pk = copy.id = uuid.uuid4()
    copy._state.adding = True
    fixed = {"submission": uuid.uuid4(), "object_name": f"shown-{uuid.uuid4().hex[:8]}", "submitted_at": None}
    for field, value in (fixed | {"state": state, "due_at": None, "message": "", "resource": None} | fields).items():
        setattr(copy, field, value)
    if name:
        copy.name = name  # type: ignore[union-attr]  # only backups are given one
    if copy.started_at:
        copy.started_at += timedelta(seconds=1)
    copy.save()
    return str(copy.pk)


def shoot(browser: Browser, url: str, pages: dict[str, str], width: int, theme: Any) -> None:
    """All pages at one width in one theme."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(base_url=url, viewport={"width": width, "height": 800}, color_scheme=theme)
    page = context.new_page()
    page.goto("/")
    _take(page, "login", width, theme)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    for name, address in pages.items():
        if address:
            page.goto(address)
            page.wait_for_timeout(4000 if name == "backup-log" else 400)
            _take(page, name, width, theme)
    context.close()


def _take(page: Page, name: str, width: int, theme: str) -> None:
    page.screenshot(path=FOLDER / f"{name}-{width}-{theme}.png", full_page=True, animations="disabled", caret="hide")


if __name__ == "__main__":
    sys.exit(main())
