"""R8: one of twenty clusters is slow, silent, resetting or refusing; the others do not notice. Nor when the bucket is
silent; and Valkey may be silent, resetting or away.

A phase with the fault and a phase without take turns, under the same load: people who want backups of the others, and
one who presses the button for the bad one several times at once. The control is the plain way: one queue, one worker,
no breaker.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.faults.campaign import judge
from bench.faults.load import Answer, Asked, Visitor
from bench.faults.simulated import Site, arrivals, at_work, valkey, within
from bench.fleet import Fleet, Member, fleet
from bench.report import Report, quantile
from console.lib.errors import ConsoleError
from tests.fakes.proxy import Door, Mode, Proxy
from tests.fakes.s3 import FakeS3
from tests.fakes.velero import VELERO

CLUSTERS = 20
RATIO = 1.2
RATE = 1.5  # requests a second for the others
BURST, BURST_EVERY = 3, 3.0  # requests at once for the bad one, and seconds between
DELAY = 0.7  # seconds a chunk, when slow: an answer takes two of them at least
MODES: tuple[Mode, ...] = ("slow", "silent", "reset", "refuse")
SHOWN_WITHIN, HEALED_WITHIN, REDRIVEN_WITHIN, PAGE_WITHIN = 60, 10, 30, 3  # seconds
PATIENCE = 60.0  # seconds for what has no bound of its own
AWAY = 2.0  # seconds that Valkey stays away after the last request
PLAIN_PHASE = 4.0  # seconds
BAD = ("unreachable", "degraded")


@dataclass
class Measured:
    """What was asked for in phases of one kind, of the others and of the bad one."""

    others: list[Asked] = field(default_factory=list)
    bad: list[Asked] = field(default_factory=list)

    @property
    def asked(self) -> list[Asked]:
        return self.others + self.bad


@dataclass
class Campaign:
    """What stands between the console and the rest of the world, and what was measured so far."""

    site: Site
    doors: Mapping[str, Door]  # by cluster
    bucket: Door
    valkey: Door
    seed: int
    report: Report
    phase: float
    found: dict[str, Measured] = field(default_factory=dict)

    @property
    def bad(self) -> Member:
        return self.site.fleet.members[0]

    def choices(self) -> random.Random:
        """The same in every phase, so that phases differ in nothing but the fault."""
        return random.Random(self.seed)


def check(*, full: bool, seed: int) -> Report:
    """Phases of 60 seconds at full size, of 5 reduced; there the faults are judged together."""
    report = Report("R8", "one cluster of twenty is bad, or the bucket, or Valkey", full)
    with _ground(report, seed, 60.0 if full else 5.0) as campaign:
        for mode in MODES if full else MODES[:3]:
            _take_turns(campaign, mode)
        _take_turns(campaign, "bucket")
        _judge_others(campaign)
        for mode in ("silent", "reset", "refuse") if full else ("silent",):
            _without_valkey(campaign, mode)
        judge(report, campaign.site, [one for kind in campaign.found.values() for one in kind.asked])
        plain = _control(campaign)
    report.control(
        "one queue, one worker, no breaker", failed=plain > RATIO, detail=f"others at {plain:.1f} x baseline"
    )
    return report


def _take_turns(campaign: Campaign, fault: str) -> None:
    """A phase without and a phase with the fault."""
    _phase(campaign, "baseline")
    if fault == "bucket":
        campaign.bucket.be("silent")
        _phase(campaign, fault, looks_at_bucket=True)
        campaign.bucket.be("pass")
        return
    door = campaign.doors[campaign.bad.row.name]
    door.be(fault, DELAY)  # type: ignore[arg-type]
    with _watching(campaign, fault):
        _phase(campaign, fault)
    door.be("pass")
    _heals(campaign, fault)


def _phase(campaign: Campaign, kind: str, *, looks_at_bucket: bool = False) -> None:
    """The load for as long as a phase takes; what becomes of the others is waited for."""
    others: list[Future[Asked]] = []
    bad: list[Future[Asked]] = []
    bursts, choose = 0, campaign.choices()
    for at in arrivals(choose, RATE, campaign.phase):
        others.append(campaign.site.ask(choose.choice(campaign.site.fleet.members[1:]).row))
        if at >= bursts * BURST_EVERY:
            bursts += 1
            bad += [campaign.site.ask(campaign.bad.row) for _ in range(BURST)]
            if looks_at_bucket:
                campaign.site.people.do(lambda visitor: _check_location(campaign, visitor))
    asked = [one.result() for one in others]
    campaign.site.all_seen(asked, PATIENCE)
    found = campaign.found.setdefault(kind, Measured())
    found.others += asked
    found.bad += [one.result() for one in bad]


def _check_location(campaign: Campaign, visitor: Visitor) -> Answer:
    return visitor.post(f"/locations/{campaign.site.fleet.location.pk}/recheck/", {})


@contextlib.contextmanager
def _watching(campaign: Campaign, fault: str) -> Iterator[None]:
    """See meanwhile whether the cluster is shown to be in trouble, and wait for it after, if need be."""
    with ThreadPoolExecutor(1) as beside:
        shown = beside.submit(_shown, campaign)
        yield
        seconds, state = shown.result()
    campaign.report.say(f"shown_{state}_{fault}", seconds, f"<= {SHOWN_WITHIN}", unit="s")


def _shown(campaign: Campaign) -> tuple[float, str]:
    """After how many seconds the cluster is shown as bad, and as what."""
    from django.db import connection

    seconds = within(SHOWN_WITHIN, lambda: _state(campaign) in BAD)
    state = _state(campaign)
    connection.close()
    return (float("inf") if seconds is None else seconds), state


def _state(campaign: Campaign) -> str:
    """As pages show it."""
    from workspaces.models import Cluster
    from workspaces.views.shown import shown_state

    return shown_state(Cluster.objects.get(pk=campaign.bad.row.pk))


def _heals(campaign: Campaign, fault: str) -> None:
    """Shown as well again, and what was asked for meanwhile is done."""
    began = time.monotonic()
    seconds = within(PATIENCE, lambda: _state(campaign) == "healthy")
    campaign.report.say(
        f"healed_{fault}", float("inf") if seconds is None else seconds, f"<= {HEALED_WITHIN}", unit="s"
    )
    campaign.site.all_seen(campaign.found[fault].asked, PATIENCE)
    campaign.report.say(f"caught_up_{fault}", time.monotonic() - began, f"<= {REDRIVEN_WITHIN}", unit="s")


def _judge_others(campaign: Campaign) -> None:
    """p95 of the others with each fault beside p95 without; reduced, with all faults together: they are few."""
    delay = campaign.site.delay
    faults = {kind: [delay(one) for one in found.others] for kind, found in campaign.found.items()}
    base = faults.pop("baseline")
    if not campaign.report.full:
        faults = {"any_fault": [delay for delays in faults.values() for delay in delays]}
    for kind, delays in faults.items():
        ratio = quantile(delays, 0.95) / quantile(base, 0.95)
        told = f"{quantile(base, 0.95):.3f} s without, {quantile(delays, 0.95):.3f} s with; n {len(base)}"
        figure = campaign.report.say(f"others_p95_{kind}", ratio, f"<= {RATIO}", reference=told, n=len(delays))
        if not figure.good:
            _tell_slowest(campaign)


def _tell_slowest(campaign: Campaign) -> None:
    """The stories of those who waited longest in each kind of phase."""
    from backups.models import Backup
    from bench.faults import history

    for kind, found in campaign.found.items():
        for asked in sorted(found.others, key=campaign.site.delay)[-3:]:
            print(f"{kind}: {campaign.site.delay(asked):.3f} s, page after {asked.answered - asked.began:.3f} s")
            print(history.story(Backup.objects.get(submission=asked.submission)), flush=True)


def _without_valkey(campaign: Campaign, mode: Mode) -> None:
    """Pages answer soon, what was asked for is kept, and it is sent when Valkey is back."""
    campaign.valkey.be(mode)
    asked = [campaign.site.ask(campaign.bad.row).result() for _ in range(3)]
    time.sleep(AWAY)
    campaign.valkey.be("pass")
    back = time.monotonic()
    campaign.site.all_seen(asked, PATIENCE)
    say, waited = campaign.report.say, [one.answered - one.began for one in asked]
    say(f"page_without_valkey_{mode}", max(waited), f"<= {PAGE_WITHIN}", unit="s", n=len(asked))
    say(f"sent_after_valkey_{mode}", time.monotonic() - back, f"<= {REDRIVEN_WITHIN}", unit="s", n=len(asked))
    campaign.found.setdefault("valkey", Measured()).bad += asked


@contextlib.contextmanager
def _ground(report: Report, seed: int, phase: float) -> Iterator[Campaign]:
    """Fleet, bucket, Valkey and console, with a proxy before each cluster, the bucket and Valkey."""
    folder = tempfile.TemporaryDirectory(prefix="drydock-r8-")
    with folder, Proxy() as proxy, FakeS3() as s3, valkey(Path(folder.name, "valkey.sock")) as socket:
        queue, bucket = proxy.open(socket), proxy.open(("127.0.0.1", urlsplit(s3.url).port or 0))
        extra = {"REDIS_URL": f"redis://127.0.0.1:{queue.port}/0"}
        with fleet(Path(folder.name), CLUSTERS, takes=1.0, extra=extra) as ships:
            _put_storage_behind(bucket, ships)
            doors = {member.row.name: _put_behind_a_door(proxy, member, ships.server.port) for member in ships.members}
            with at_work(ships) as site:
                yield Campaign(site, doors, bucket, queue, seed, report, phase)


def _put_storage_behind(door: Door, ships: Fleet) -> None:
    ships.location.s3_url = f"http://127.0.0.1:{door.port}"
    ships.location.save(update_fields=["s3_url"])


def _put_behind_a_door(proxy: Proxy, member: Member, port: int) -> Door:
    """The cluster is reached through a door of its own from now on."""
    door = proxy.open(("127.0.0.1", port))
    stored = member.row.kubeconfig
    text = stored["kubeconfig"].replace(f"127.0.0.1:{port}/", f"127.0.0.1:{door.port}/")
    member.row.kubeconfig = {**stored, "kubeconfig": text}
    member.row.save(update_fields=["kubeconfig"])
    return door


def _control(campaign: Campaign) -> float:
    """p95 of the others, with a silent cluster over without, when one worker takes all from one queue."""
    door = campaign.doors[campaign.bad.row.name]
    without = _plain_phase(campaign)
    door.be("silent")
    with_fault = _plain_phase(campaign)
    door.be("pass")
    return quantile(with_fault, 0.95) / quantile(without, 0.95)


def _plain_phase(campaign: Campaign) -> list[float]:
    """Seconds from request to object for the others."""
    took: list[float] = []
    with ThreadPoolExecutor(1) as worker:
        bursts, choose = 0, campaign.choices()
        for at in arrivals(choose, RATE, PLAIN_PHASE):
            worker.submit(_plain_job, choose.choice(campaign.site.fleet.members[1:]), time.monotonic(), took)
            if at >= bursts * BURST_EVERY:
                bursts += 1
                for _ in range(BURST):
                    worker.submit(_plain_job, campaign.bad, time.monotonic(), [])
    return took


def _plain_job(member: Member, asked: float, took: list[float]) -> None:
    """Make a Backup, as a script would."""
    from backups.velero.names import backups_path
    from console.kube.connection import connect
    from console.lib import outbound
    from workspaces.connections import access_to

    name = f"plain-{uuid.uuid4().hex[:10]}"
    with (
        contextlib.suppress(ConsoleError),
        connect(access_to(member.row), outbound.policy(), connect_timeout=1.0) as connection,
    ):
        connection.create(backups_path(VELERO), plain_backup(name))
        took.append(time.monotonic() - asked)


def plain_backup(name: str) -> dict[str, Any]:
    """The least that Velero takes."""
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, "namespace": VELERO}, "spec": {}}
