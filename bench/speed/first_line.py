"""P3: from the click on *Read the log* to the first line on the page, beside `velero backup logs`."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from bench import mainjob
from bench.faults.campaign import Site
from bench.report import Report
from bench.speed.ground import in_turn, real_console, until_shown, velero

BOUND = 0.5  # of the client's time
LINE = '<pre class="log" id="log-text" tabindex="0"><span'


def check(*, full: bool, seed: int) -> Report:
    """20 pairs at full size, 4 reduced."""
    report = Report("P3", "log click to first line, beside velero backup logs", full)
    with real_console() as site:
        backup = mainjob.back_up(site.fleet, f"p3-{time.time_ns() % 10**9}")
        visitor, page = site.visitor(), f"/backups/{backup.pk}/log/"
        visitor.get(page)

        def click(pause: float = 0.0) -> float:
            began = time.monotonic()
            time.sleep(pause)
            assert visitor.post(page, {}).status == 302
            until_shown(visitor, page, LINE)
            return time.monotonic() - began

        ours, theirs = in_turn(20 if full else 4, click, lambda: _theirs(site, backup.object_name))
        usual = median(theirs)
        reference = f"velero {usual:.3f} s"
        report.say("median_ratio", median(ours) / usual, f"<= {BOUND}", reference=reference, n=len(ours))
        report.say("click_to_first_line_median", median(ours), unit=" s", n=len(ours), reference=reference)
        slow = median(click(usual / 2) for _ in range(3)) / usual
        report.control("a pause of half the client's time in the path", failed=slow > BOUND, detail=f"ratio {slow:.2f}")
    return report


def _theirs(site: Site, name: str) -> float:
    """Seconds until the real client has printed its first line."""
    began = time.monotonic()
    with subprocess.Popen(velero(site, "backup", "logs", name), stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        line = client.stdout.readline()
        took = time.monotonic() - began
        client.stdout.read()
    assert b"level" in line, line
    return took
