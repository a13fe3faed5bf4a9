"""Registering a cluster in the browser on the real stack, replacing its kubeconfig, letting it go.

By the admin of a tenant of its own: in the other one both clusters are registered already, and twice is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(240)]
ENDED = 30_000
PASSWORD = "a long enough password"
PROGRAM = """apiVersion: v1
kind: Config
current-context: one
clusters: [{name: a, cluster: {server: "https://203.0.113.9:6443"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}]
contexts: [{name: one, context: {cluster: a, user: u}}]
"""


@dataclass(frozen=True)
class Newcomer:
    """The admin of a tenant with one empty project."""

    email: str
    project: str


@pytest.fixture(scope="module")
def newcomer(stack: Stack) -> Newcomer:
    mark = int(time.time() * 1000) % 10**9
    email = f"newcomer-{mark}@example.com"
    project = stack.shell(
        "from accounts.actions import add_tenant_admin, create_tenant\n"
        "from workspaces.actions.project import create_project\n"
        f"tenant = create_tenant(by=None, name='Newcomers {mark}')\n"
        f"add_tenant_admin(by=None, tenant=tenant, email={email!r}, password={PASSWORD!r})\n"
        "answer = create_project(by=None, tenant=tenant, name='Fresh').pk"
    )
    return Newcomer(email, str(project))


@pytest.fixture
def here(page: Page, newcomer: Newcomer) -> Page:
    """The newcomer has signed in."""
    page.goto("/")
    page.get_by_label("E-mail address").fill(newcomer.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    return page


def kubeconfig(stack: Stack, name: str) -> Path:
    return Path(stack.state.clusters[name].kubeconfig)


def next_step(page: Page) -> None:
    page.get_by_role("button", name="Next").click()


def paste(page: Page, text: str) -> None:
    page.get_by_label("Kubeconfig", exact=True).fill(text)
    next_step(page)


def test_from_an_empty_project_to_a_registered_cluster_and_back(
    here: Page, newcomer: Newcomer, stack: Stack, violations: Callable[[Page], list[str]]
) -> None:
    page, west = here, kubeconfig(stack, "harbor-west")
    page.goto(f"/projects/{newcomer.project}/")
    expect(page.get_by_role("heading", name="Get to your first backup")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Register a cluster").click()

    next_step(page)
    expect(page.get_by_text("Give the cluster a name.")).to_be_visible()
    page.get_by_label("Name").fill("west")
    page.get_by_label(re.compile("Bare metal")).check()
    next_step(page)

    paste(page, PROGRAM)
    expect(page.get_by_text("runs a program to sign in")).to_be_visible()
    assert violations(page) == []
    paste(page, re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", west.read_text()))
    expect(page.get_by_text("refuses the connection")).to_be_visible(timeout=ENDED)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    assert violations(page) == []

    page.get_by_role("link", name="change the connection").click()
    page.get_by_label("Kubeconfig file").set_input_files(west)
    next_step(page)
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=ENDED)
    expect(page.locator(".checks .passed")).to_have_count(6)
    assert violations(page) == []
    next_step(page)

    expect(page.get_by_role("heading", name="Basic information")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Register").dblclick()
    expect(page.get_by_role("heading", name="west", exact=True)).to_be_visible()
    expect(page.get_by_text("Healthy").first).to_be_visible()
    assert violations(page) == []
    registered = (
        "from workspaces.models import Cluster\n"
        f"answer = Cluster.objects.registered().filter(project={newcomer.project!r}).count()"
    )
    assert stack.shell(registered) == 1

    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Connection", exact=True).click()
    page.get_by_role("button", name="Check again").click()
    expect(page.locator(".checks .passed")).to_have_count(6, timeout=ENDED)
    page.get_by_role("button", name="Replace the kubeconfig").click()
    page.get_by_label("Kubeconfig file").set_input_files(kubeconfig(stack, "harbor-east"))
    next_step(page)
    expect(page.get_by_text("This is another cluster than west.")).to_be_visible(timeout=ENDED)
    page.get_by_role("link", name="change the connection").click()
    page.get_by_label("Kubeconfig file").set_input_files(west)
    next_step(page)
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=ENDED)
    next_step(page)
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_role("heading", name="Last check")).to_be_visible()

    page.get_by_role("link", name="Events", exact=True).click()
    expect(page.get_by_text("Replaced the kubeconfig")).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Deregister", exact=True).click()
    expect(page.get_by_role("button", name="Deregister")).to_be_disabled()
    page.get_by_label("Name of the cluster").fill("west")
    page.get_by_role("button", name="Deregister").click()
    expect(page.get_by_text("west is deregistered.")).to_be_visible()
    assert stack.shell(registered) == 0


def test_a_session_that_expires_on_the_way_loses_nothing(
    here: Page, context: BrowserContext, newcomer: Newcomer, stack: Stack
) -> None:
    page = here
    page.goto(f"/projects/{newcomer.project}/clusters/register/")
    if page.get_by_role("button", name="Start anew").is_visible():
        page.get_by_role("button", name="Start anew").click()
    page.get_by_label("Name").fill("typed-before")
    page.get_by_label(re.compile("Other")).check()
    next_step(page)
    page.get_by_label("Kubeconfig", exact=True).fill(kubeconfig(stack, "harbor-west").read_text())
    page.get_by_label("Velero namespace").fill("velero")  # leaving the field above saves what was typed
    page.wait_for_load_state("networkidle")
    context.clear_cookies(name="sessionid")
    next_step(page)
    page.get_by_label("E-mail address").fill(newcomer.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The kubeconfig you gave is kept.")).to_be_visible()
    next_step(page)
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=ENDED)
    page.get_by_role("link", name="Basic information").click()
    expect(page.get_by_label("Name")).to_have_value("typed-before")


def test_it_can_be_registered_without_a_script(chromium: Browser, newcomer: Newcomer, stack: Stack) -> None:
    context = chromium.new_context(base_url=stack.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/projects/{newcomer.project}/clusters/register/")
    page.get_by_label("E-mail address").fill(newcomer.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    if page.get_by_role("button", name="Start anew").is_visible():
        page.get_by_role("button", name="Start anew").click()
    page.get_by_label("Name").fill("plain")
    page.get_by_label(re.compile("Other")).check()
    next_step(page)
    page.get_by_label("Kubeconfig file").set_input_files(kubeconfig(stack, "harbor-west"))
    next_step(page)
    for _ in range(30):
        if page.get_by_role("button", name="Next").is_enabled():
            break
        time.sleep(0.5)
        page.reload()
    next_step(page)
    expect(page.get_by_role("button", name="Register")).to_be_visible()
    context.close()
