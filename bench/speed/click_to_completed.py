"""P1: from the click on *Back up now* to "Completed" on the page, beside `velero backup create --wait`.

Real clusters, real Velero, all processes of the console. Both back up the same namespace into the same location, in
turn. When the Velero object appears is seen by a bare watch, on the same clock as the click.
"""

from __future__ import annotations

import time
import uuid
from statistics import median

from bench.faults.campaign import Site
from bench.faults.load import Visitor, ask_for_backup
from bench.report import Report, quantile
from bench.speed.ground import BareWatch, backed_up, in_turn, name_of, real_console, until_shown
from console.kube.watch import Event

COMPLETED = 'data-announce="Completed"'
RATIO, APPEARS = 1.1, 0.2  # bounds; the second in seconds


def check(*, full: bool, seed: int) -> Report:
    """30 pairs at full size, 6 reduced; 6 and 3 for the control."""
    report = Report("P1", "click to Completed, beside velero backup create --wait", full)
    with real_console() as site, _appearances(site) as watch:
        clicks = Clicks(site, watch)
        ours, theirs = in_turn(30 if full else 6, clicks.take, lambda: backed_up(site, f"p1-{uuid.uuid4().hex[:12]}"))
        appeared = clicks.appeared
        reference = f"velero {median(theirs):.3f} s"
        report.say("median_ratio", median(ours) / median(theirs), f"<= {RATIO}", reference=reference, n=len(ours))
        report.say("click_to_completed_median", median(ours), unit=" s", n=len(ours), reference=reference)
        report.say("click_to_object_p95", quantile(appeared, 0.95), f"<= {APPEARS}", unit=" s", n=len(appeared))
        _control(report, site, clicks, median(theirs))
    return report


def _appearances(site: Site) -> BareWatch:
    from backups.velero import names

    kubeconfig = site.state.clusters["harbor-east"].kubeconfig
    return BareWatch(kubeconfig, names.backups_path("velero"), _chosen_name)


def _chosen_name(event: Event) -> str | None:
    """The name a person chose: without the random characters at its end."""
    return name_of(event.object).rsplit("-", 1)[0] if event.type == "ADDED" else None


class Clicks:
    """Clicks of one signed-in person. `appeared`: seconds from each click to the object in the cluster."""

    def __init__(self, site: Site, watch: BareWatch, pause: float = 0.0) -> None:
        self.site, self.watch, self.pause = site, watch, pause
        self.visitor: Visitor = site.visitor()
        self.appeared: list[float] = []

    def take(self) -> float:
        """Seconds from one click to Completed on its page."""
        began = time.monotonic()
        time.sleep(self.pause)
        asked = ask_for_backup(self.visitor, self.site.fleet.east.pk, self.site.fleet.location.pk, prefix="p1")
        until_shown(self.visitor, asked.page, COMPLETED)
        took = time.monotonic() - began
        self.appeared.append(self.watch.when(asked.name) - began)
        return took


def _control(report: Report, site: Site, clicks: Clicks, usual: float) -> None:
    """With a pause in the way of the click, half as long as all of it takes, both bounds are missed."""
    slow = Clicks(site, clicks.watch, pause=max(0.3, usual / 2))
    ours, theirs = in_turn(6 if report.full else 3, slow.take, lambda: backed_up(site, f"p1-{uuid.uuid4().hex[:12]}"))
    ratio, appears = median(ours) / median(theirs), quantile(slow.appeared, 0.95)
    failed = ratio > RATIO and appears > APPEARS
    detail = f"ratio {ratio:.2f}, object after {appears:.2f} s"
    report.control(f"a pause of {slow.pause:.1f} s in the path", failed=failed, detail=detail)
