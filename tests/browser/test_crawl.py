"""Whatever is shown to somebody can be opened by them: each link of each page is followed in Chromium, forms are sent.

A Project Admin sees parts of what a Tenant Admin sees.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Error, Page

from tests.stack import Stack, unique

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(240)]

PASSWORD = "a long enough password"
NUMBER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")
FEWEST = {"WorkspaceOperator": 8, "WorkspaceAdmin": 10, "ProjectViewer": 20, "TenantAdmin": 35}
POSTED = {"WorkspaceOperator", "WorkspaceAdmin"}  # what others send changes too much for who comes after
ENDS = ("/logout/", "/end/")
PERSON = """
from accounts import roles
from workspaces.models import Project, Workspace
from tests.people import person
project = Project.objects.get(name="Default")
role = getattr(roles, "{role}")
on = {{"tenant": project.tenant, "project": project, "workspace": Workspace.objects.filter(project=project)[0]}}
answer = person("{name}", role=role, on=on[role.scope.value]).email
"""


class Crawl:
    """From the first page on, every address that a page shows, `most` of each pattern."""

    def __init__(self, page: Page, base: str, *, posts: bool) -> None:
        self.page, self.base, self.posts = page, base, posts
        self.most = 2 if posts else 1
        self.opened: Counter[str] = Counter()
        self.sent: set[str] = set()
        self.refused: list[str] = []

    def run(self) -> None:
        waiting = deque(["/"])
        while waiting:
            address = waiting.popleft()
            if self.opened[kind := NUMBER.sub("*", address)] >= self.most:
                continue
            self.opened[kind] += 1
            waiting.extend(self.links(address))

    def links(self, address: str) -> list[str]:
        """What the page shows, after the forms on it were sent."""
        try:
            answer = self.page.goto(address)
        except Error as error:
            if "Download is starting" in error.message:  # a file, which leads nowhere
                return []
            raise
        if answer is None or answer.status >= 400:
            self.refused.append(f"{answer.status if answer else 'nothing'} {address}")
            return []
        assert "/login/" not in self.page.url, f"signed out on the way to {address}"
        shown = self.page.eval_on_selector_all("a[href]:not([download])", "all => all.map(one => one.href)")
        forms = self.page.eval_on_selector_all(
            "form[method=post]", "all => all.map(one => [one.action, one.csrfmiddlewaretoken.value])"
        )
        for action, token in forms if self.posts else []:
            self.send(action, token)
        return [where for link in shown if (where := self.inside(link))]

    def inside(self, link: str) -> str:
        """The address, where it leads to the console itself."""
        there, here = urlsplit(link), urlsplit(self.base)
        if there.netloc != here.netloc:
            return ""
        return f"{there.path}?{there.query}" if there.query else there.path

    def send(self, action: str, token: str) -> None:
        """The form with nothing filled in: it may be refused for what is missing, not for who sends it."""
        kind = NUMBER.sub("*", urlsplit(action).path)
        if kind in self.sent or any(end in kind for end in ENDS):
            return
        self.sent.add(kind)
        headers = {"Referer": self.base, "Origin": self.base}
        fields = {"csrfmiddlewaretoken": token}
        answer = self.page.request.post(urljoin(self.base, action), form=fields, headers=headers, max_redirects=0)
        if answer.status in (403, 404, 405) or answer.status >= 500:
            self.refused.append(f"{answer.status} POST {action}")


@pytest.fixture
def crawl(page: Page, stack: Stack) -> Callable[[str], Crawl]:
    """Signs somebody in who holds this role and nothing else, and makes ready to begin."""

    def begin(role: str) -> Crawl:
        email = stack.shell(PERSON.format(role=role, name=unique("crawl")))
        page.goto("/login/")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state()
        return Crawl(page, stack.url, posts=role in POSTED)

    return begin


@pytest.mark.parametrize("role", FEWEST)
def test_nothing_that_is_shown_is_refused(crawl: Callable[[str], Crawl], role: str) -> None:
    found = crawl(role)
    found.run()
    assert found.refused == []
    assert len(found.opened) >= FEWEST[role], sorted(found.opened)
    assert found.sent or not found.posts


def test_control_a_shown_link_that_is_refused_is_found(page: Page, crawl: Callable[[str], Crawl]) -> None:
    found = crawl("WorkspaceOperator")
    page.route(re.compile("/profile/$"), lambda route: route.fulfill(status=404, body="<h1>No</h1>"))
    found.run()
    assert set(found.refused) == {"404 /profile/"}
