"""P2: from a change of the object in the cluster to the open page in Chromium, beside a bare watch of the same object.

Velero of that cluster rests meanwhile, so that nobody else changes the object.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING

from playwright.sync_api import Page, Route, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from bench import stack
from bench.compare import open_cluster
from bench.faults.campaign import Site
from bench.faults.load import ask_for_backup
from bench.report import Report, quantile
from bench.screenshots import ARGUMENTS, CHROMIUM
from bench.speed.ground import BareWatch, name_of, real_console
from console.kube.connection import Connection
from console.kube.watch import Event
from sandbox import control

if TYPE_CHECKING:
    from backups.models import Backup

CLUSTER = "harbor-east"
BOUND = 0.5  # seconds, p95
TOTAL = 1000  # items
# Asked in every frame: waiting for a locator looks again after 20, 50, 100, 100, then every 500 ms.
SHOWS = "text => document.querySelector('main').innerText.includes(text)"


def check(*, full: bool, seed: int) -> Report:
    """60 changes at full size, 10 reduced; 5 for the control."""
    report = Report("P2", "status change to open page, beside a bare watch", full)
    with real_console() as site, _velero_at_rest(site) as connection:
        backup = _waiting_backup(site)
        with _watch(site, backup) as watch, _open_page(site, backup) as page:
            changes = Changes(connection, backup, page, random.Random(seed))
            shown = changes.make(60 if full else 10)
            told = [watch.when(done) - at for done, at in changes.made.items()]
            reference = f"bare watch {quantile(told, 0.95):.3f} s"
            report.say("change_to_page_p95", quantile(shown, 0.95), f"<= {BOUND}", unit=" s", n=len(shown))
            report.say("change_to_page_median", median(shown), unit=" s", n=len(shown), reference=reference)
            page.route("**/*", _half_a_second_later)
            slow = quantile(changes.make(5), 0.95)
            report.control("every answer half a second later", failed=slow > BOUND, detail=f"p95 {slow:.2f} s")
            changes.end()
    report.note("the reference is the p95 of a bare watch, which is what kubectl get -w shows at best")
    return report


@contextlib.contextmanager
def _velero_at_rest(site: Site) -> Iterator[Connection]:
    control.stop_velero(site.state, CLUSTER)
    try:
        with open_cluster(site.state.clusters[CLUSTER].kubeconfig) as connection:
            yield connection
    finally:
        control.start_velero(site.state, CLUSTER)


def _waiting_backup(site: Site) -> Backup:
    """A backup whose object is in the cluster, where Velero does not take it up."""
    from backups.models import Backup

    asked = ask_for_backup(site.visitor(), site.fleet.east.pk, site.fleet.location.pk, prefix="p2")
    until = time.monotonic() + 30
    while (backup := Backup.objects.get(submission=asked.submission)).state != "submitted":
        assert time.monotonic() < until, f"{backup} is {backup.state}: {backup.message}"
        time.sleep(0.1)
    return backup


def _watch(site: Site, backup: Backup) -> BareWatch:
    """Hears of each count of items of this backup."""
    from backups.velero import names

    def items(event: Event) -> int | None:
        progress = event.object.get("status", {}).get("progress", {})
        return progress.get("itemsBackedUp") if name_of(event.object) == backup.object_name else None

    return BareWatch(site.state.clusters[CLUSTER].kubeconfig, names.backups_path("velero"), items)


@contextlib.contextmanager
def _open_page(site: Site, backup: Backup) -> Iterator[Page]:
    """The backup's page in Chromium, signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(base_url=site.url)
        page.goto(f"/backups/{backup.pk}/")
        page.get_by_label("E-mail address").fill(stack.EMAIL)
        page.get_by_label("Password", exact=True).fill(stack.password(site.var))
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text(backup.object_name).wait_for()
        yield page
        browser.close()


class Changes:
    """Counts items up in the object, and waits for each count on the page. `made`: when, by count."""

    def __init__(self, connection: Connection, backup: Backup, page: Page, pauses: random.Random) -> None:
        from backups.velero import names

        self.connection, self.page, self.pauses = connection, page, pauses
        self.path = names.path("backups", "velero", backup.object_name)
        self.made: dict[int, float] = {}

    def make(self, count: int) -> Sequence[float]:
        """Seconds from each of `count` changes to the page, at random moments between two of its questions."""
        return [self._one(len(self.made) + 1) for _ in range(count)]

    def _one(self, done: int) -> float:
        time.sleep(self.pauses.uniform(0.4, 1.0))
        self.made[done] = time.monotonic()
        progress = {"itemsBackedUp": done, "totalItems": TOTAL}
        self.connection.merge_patch(self.path, {"status": {"phase": "InProgress", "progress": progress}})
        try:
            self.page.wait_for_function(SHOWS, arg=f"{done} of {TOTAL}", polling="raf", timeout=10_000)
        except PlaywrightTimeout:
            raise AssertionError(f"{done} was not shown: {self.page.locator('main').inner_text()[:1000]}") from None
        return time.monotonic() - self.made[done]

    def end(self) -> None:
        """As a Velero that starts again would."""
        self.connection.merge_patch(
            self.path, {"status": {"phase": "Failed", "failureReason": "ended by a measurement"}}
        )


def _half_a_second_later(route: Route) -> None:
    time.sleep(0.5)
    route.continue_()
