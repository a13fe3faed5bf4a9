"""`make screenshots`: every page in its states, 1280 and 390 px wide, light and dark, into docs/screenshots/.

The real stack runs below; states that last only a moment, or that a healthy stack does not show, are rows written for
the occasion. Names read <page>-<width>-<theme>.png.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import django
from django.utils import timezone
from playwright.sync_api import Browser, Page, sync_playwright

from bench import mainjob, stack
from bench.scenes import ADDED, PASSWORD, Scenes, seed

FOLDER = stack.CHECKOUT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--disable-quic"]
SLOW = {"backup-log": 4000, "backup-create": 3000}  # milliseconds until a worker has brought it
VIEWS = [(width, theme) for width in (1280, 390) for theme in ("light", "dark")]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="drydock-screenshots-") as folder:
        var = Path(folder)
        os.environ.update(stack.environment(var, 0))
        with stack.sandbox(var), stack.console(var) as url:
            django.setup()
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # rows are written while Playwright's loop is there
            mainjob.run()
            scenes = {who: _chosen(pages, sys.argv[1:]) for who, pages in seed().items()}
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for width, theme in VIEWS:
                    shoot(browser, url, scenes, width, theme)
                browser.close()
    subprocess.run(
        ["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "64", "--", *_taken(scenes)], check=False
    )
    print(f"{sum(map(len, scenes.values())) * len(VIEWS)} pictures in {FOLDER.relative_to(stack.CHECKOUT)}/")
    return 0


def _chosen(pages: Scenes, names: Collection[str]) -> Scenes:
    """Those whose names were given, or begin with one that ends in a hyphen; all of them when none was."""
    beginnings = tuple(name for name in names if name.endswith("-"))
    return {name: page for name, page in pages.items() if not names or name in names or name.startswith(beginnings)}


def shoot(browser: Browser, url: str, scenes: dict[str, Scenes], width: int, theme: Any) -> None:
    """What everybody is shown, at one width in one theme."""
    _seen_now()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for who, pages in scenes.items():
        view = {"width": width, "height": 800}
        context = browser.new_context(base_url=url, viewport=view, color_scheme=theme)  # type: ignore[arg-type]
        page = context.new_page()
        if who and pages:
            _sign_in(page, who)
        for name, address in pages.items():
            _show(page, name, address)
            _take(page, name, width, theme)
        context.close()


def _show(page: Page, name: str, address: str) -> None:
    page.goto(address)
    if name in ADDED:
        page.locator(ADDED[name]).check(force=True)
    page.wait_for_timeout(SLOW.get(name, 400))


def _sign_in(page: Page, who: str) -> None:
    page.goto("/")
    page.get_by_label("E-mail address").fill(who)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def _seen_now() -> None:
    """What nobody has seen for a while is unknown: the rows made for the occasion were seen a moment ago."""
    from workspaces.models import Cluster

    Cluster.objects.filter(watched_by="nobody", seen_at__isnull=False).update(seen_at=timezone.now())


def _taken(scenes: dict[str, Scenes]) -> list[Path]:
    return [_path(name, *view) for pages in scenes.values() for name in pages for view in VIEWS]


def _path(name: str, width: int, theme: str) -> Path:
    return FOLDER / f"{name}-{width}-{theme}.png"


def _take(page: Page, name: str, width: int, theme: str) -> None:
    page.screenshot(path=_path(name, width, theme), full_page=True, animations="disabled", caret="hide")


if __name__ == "__main__":
    sys.exit(main())
