"""P2: from a change of the object in the cluster to the open page, beside a bare watch of the same object."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from bench.compare import open_cluster
from console.kube.connection import Connection
from console.kube.paths import custom
from console.kube.watch import list_then_watch
from sandbox import control
from tests.stack import Stack, unique

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(240)]
CHANGES = 20
BOUND = 0.5  # seconds, p95


@pytest.fixture
def east(stack: Stack) -> Iterator[Connection]:
    """A connection to harbor-east while its Velero rests, so that nobody else changes the object."""
    control.stop_velero(stack.state, "harbor-east")
    with open_cluster(stack.state.clusters["harbor-east"].kubeconfig) as connection:
        yield connection
    control.start_velero(stack.state, "harbor-east")


class Heard:
    """When a bare watch heard of each count of items."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.at: dict[int, float] = {}
        self.stop = threading.Event()
        self.kubeconfig, self.name = stack.state.clusters["harbor-east"].kubeconfig, name
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        with open_cluster(self.kubeconfig) as connection:
            for event in list_then_watch(connection, custom("velero.io", "v1", "backups", "velero"), stop=self.stop):
                if event.type == "MODIFIED" and event.object["metadata"]["name"] == self.name:
                    done = event.object.get("status", {}).get("progress", {}).get("itemsBackedUp")
                    self.at.setdefault(done, time.monotonic())


def test_a_change_in_the_cluster_is_on_the_page_within_half_a_second(
    signed_in: Page,
    ids: dict[str, str],
    stack: Stack,
    east: Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page, name = signed_in, unique("latency")
    page.goto(f"/clusters/{ids['harbor-east']}/backups/create/")
    page.get_by_label("Backup name").fill(name)
    page.get_by_label("intranet", exact=True).check()
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator(".badge", has_text="Queued").first).to_be_visible(timeout=30_000)
    code = f"from backups.models import Backup\nanswer = Backup.objects.get(name='{name}').object_name"
    object_name = stack.shell(code)
    path, heard = custom("velero.io", "v1", "backups", "velero", object_name), Heard(stack, object_name)
    shown: list[float] = []
    told: list[float] = []
    for done in range(1, CHANGES + 1):
        time.sleep(0.7)
        progress = {"itemsBackedUp": done, "totalItems": 1000}
        changed = time.monotonic()
        east.merge_patch(path, {"status": {"phase": "InProgress", "progress": progress}})
        page.get_by_text(f"{done} of 1000").first.wait_for(timeout=10_000)
        shown.append(time.monotonic() - changed)
        told.append(heard.at.get(done, time.monotonic()) - changed)
    heard.stop.set()
    east.merge_patch(path, {"status": {"phase": "Failed", "failureReason": "ended by a test"}})
    expect(page.locator(".badge", has_text="Failed").first).to_be_visible(timeout=15_000)
    p95 = statistics.quantiles(shown, n=20, method="inclusive")[-1]
    with capsys.disabled():
        print(
            f"\nP2 change_to_page_p95={p95:.3f}s bound={BOUND}s n={CHANGES} median={statistics.median(shown):.3f}s "
            f"reference=bare_watch_median={statistics.median(told):.3f}s"
        )
    assert p95 <= BOUND
