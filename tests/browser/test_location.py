"""Adding a backup location in a real browser, against the whole console and a real S3 server."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from bench.stack import console
from tests.contract.realstore import BUCKET, KEYS, RealStore, seaweed

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(300)]

WIDTHS = (1280, 390)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A browser without cookies."""
    context = chromium.new_context(viewport={"width": WIDTHS[0], "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStore]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """Address, e-mail and password of a console of its own."""
    var = tmp_path_factory.mktemp("console")
    with console(var) as url:
        said = re.search(r"Sign in as (\S+) with the password (\S+)", (var / "start.log").read_text())
        assert said, "the console printed no password"
        yield url, said.group(1), said.group(2)


@pytest.fixture
def trouble(page: Page) -> list[str]:
    """What the browser complained about: scripts that failed, and what the Content-Security-Policy kept out."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if "Content Security Policy" in line.text else None)
    return found


@pytest.fixture
def adding(page: Page, account: tuple[str, str, str], trouble: list[str]) -> Iterator[Page]:
    """Signed in, at the empty form."""
    sign_in(page, account)
    page.get_by_role("link", name="Project Settings").click()
    page.get_by_role("link", name="Add a New Backup location").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a New Backup location")
    yield page
    assert trouble == []


def sign_in(page: Page, account: tuple[str, str, str]) -> None:
    page.goto(f"{account[0]}/login/")
    enter(page, account)


def enter(page: Page, account: tuple[str, str, str]) -> None:
    _, email, password = account
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_attached()


def fill(page: Page, url: str, name: str, secret: str = KEYS["secret_key"]) -> None:
    page.get_by_label("S3-compatible (MinIO)").check()
    page.get_by_label("Location Name").fill(name)
    page.get_by_label("S3 Bucket").fill(BUCKET)
    page.get_by_label("S3 URL").fill(url)
    page.get_by_label("Access key").fill(KEYS["access_key"])
    page.get_by_label("Secret key").fill(secret)
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("Prefix").fill(f"browser/{uuid.uuid4()}")


def validate(page: Page, outcome: str) -> None:
    page.get_by_role("button", name="Validate").click()
    expect(page.locator("#validation header .badge")).to_have_text(outcome, timeout=20_000)


def save(page: Page, name: str) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def shows_no_secret(page: Page) -> bool:
    return not any(secret in page.content() for secret in KEYS.values())


def accessible(page: Page) -> list[str]:
    """Rules that the page breaks, at both widths; a page wider than the screen is one."""
    broken = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("scrollTo(0, 0)")  # else the bar that stays on top covers half of something small
        found = Axe().run(page, options={"runOnly": RULES}).response["violations"]
        broken += [f"{rule['id']} at {width}" for rule in found]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            broken.append(f"scrolls sideways at {width}")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return broken


def test_wrong_key_then_the_right_one_with_nothing_retyped(adding: Page, store: RealStore) -> None:
    name = f"store-{uuid.uuid4().hex[:6]}"
    fill(adding, store.url, name, secret="wrong")
    validate(adding, "Failed")
    expect(adding.locator("#check-sign_in")).to_contain_text("The secret key does not belong to this access key.")
    expect(adding.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    assert accessible(adding) == []
    assert shows_no_secret(adding)
    adding.get_by_label("Secret key").fill(KEYS["secret_key"])
    validate(adding, "Passed")
    assert accessible(adding) == []
    assert shows_no_secret(adding)
    save(adding, name)
    expect(adding.locator("#check-delete")).to_have_class("passed")
    assert accessible(adding) == []
    assert shows_no_secret(adding)


def test_unknown_authority_then_missing_bucket_then_all_is_well(adding: Page, store: RealStore, tmp_path: Path) -> None:
    name = f"tls-{uuid.uuid4().hex[:6]}"
    fill(adding, store.tls_url, name)
    adding.get_by_label("S3 Bucket").fill("no-such-bucket")
    validate(adding, "Failed")
    expect(adding.locator("#check-tls")).to_contain_text("from an authority that the console does not know")
    bundle = tmp_path / "ca.pem"
    bundle.write_text(store.ca_pem)
    adding.get_by_label("Or upload the certificate").set_input_files(bundle)
    validate(adding, "Failed")
    expect(adding.locator("#check-bucket")).to_contain_text("There is no bucket no-such-bucket.")
    adding.get_by_label("S3 Bucket").fill(BUCKET)
    validate(adding, "Passed")
    save(adding, name)


def test_line_fields_and_help_are_in_step(adding: Page) -> None:
    line, region, url = (adding.get_by_label(label) for label in ("The same on one line", "Region", "S3 URL"))
    adding.get_by_label("S3-compatible (MinIO)").check()
    expect(line).to_have_value("region=us-east-1,s3ForcePathStyle=true,s3Url=")
    url.fill("https://minio.example.com:9000/")
    expect(line).to_have_value("region=us-east-1,s3ForcePathStyle=true,s3Url=https://minio.example.com:9000")
    line.fill("region=eu-west-3,s3ForcePathStyle=false,s3Url=http://other.example")
    expect(region).to_have_value("eu-west-3")
    expect(url).to_have_value("http://other.example")
    expect(adding.get_by_label("Force S3 path style")).not_to_be_checked()
    adding.get_by_label("S3 Bucket").fill("my bucket")
    adding.get_by_text("Advanced", exact=True).click()
    adding.get_by_label("Prefix").fill("p")
    expect(adding.locator("#policy-s3")).to_contain_text('"arn:aws:s3:::my bucket/*"')
    expect(adding.locator("#try-aws")).to_contain_text("s3://'my bucket/p/'")
    expect(adding.locator("#try-aws")).to_contain_text("--endpoint-url http://other.example")
    adding.get_by_role("radio", name=re.compile("^AWS S3")).check()
    expect(adding.locator("#policy-aws")).to_be_visible()
    expect(adding.locator("#policy-s3")).to_be_hidden()


def test_what_was_changed_after_validation_is_validated_again(adding: Page, store: RealStore) -> None:
    name = f"changed-{uuid.uuid4().hex[:6]}"
    fill(adding, store.url, name)
    validate(adding, "Passed")
    adding.get_by_label("Region").fill("us-east-2")
    expect(adding.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    expect(adding.get_by_text("Something was changed since this was validated.")).to_be_visible()
    adding.wait_for_timeout(5500)  # another poll puts the server's words back, not its button
    expect(adding.get_by_role("button", name="Save", exact=True)).to_be_disabled()


def test_expired_login_loses_nothing(adding: Page, store: RealStore, account: tuple[str, str, str]) -> None:
    name = f"expired-{uuid.uuid4().hex[:6]}"
    fill(adding, store.url, name)
    adding.get_by_label("Prefix").press("Tab")
    adding.wait_for_url(re.compile("/add/[0-9a-f-]{36}/"))
    adding.wait_for_load_state("networkidle")
    adding.context.clear_cookies(name="sessionid")
    adding.get_by_role("button", name="Validate").click()
    enter(adding, account)
    expect(adding.get_by_label("Location Name")).to_have_value(name)
    validate(adding, "Passed")
    save(adding, name)


def test_closed_tab_is_gone_on_with(adding: Page, store: RealStore) -> None:
    start = adding.url
    name = f"later-{uuid.uuid4().hex[:6]}"
    fill(adding, store.url, name)
    adding.get_by_label("Prefix").press("Tab")
    adding.wait_for_url(re.compile("/add/[0-9a-f-]{36}/"))
    adding.wait_for_load_state("networkidle")
    adding.goto(start)
    adding.get_by_role("link", name="Go on with it").click()
    expect(adding.get_by_label("Location Name")).to_have_value(name)
    validate(adding, "Passed")
    save(adding, name)


def test_save_clicked_twice_makes_one_location(adding: Page, store: RealStore) -> None:
    name = f"twice-{uuid.uuid4().hex[:6]}"
    fill(adding, store.url, name)
    validate(adding, "Passed")
    adding.get_by_role("button", name="Save", exact=True).dblclick()
    expect(adding.get_by_role("heading", level=1)).to_have_text(name)
    adding.get_by_role("link", name="Backup locations").click()
    expect(adding.get_by_role("link", name=name, exact=True)).to_have_count(1)
    assert accessible(adding) == []


def test_without_scripts_it_works_as_well(chromium: Browser, account: tuple[str, str, str], store: RealStore) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, account)
    page.get_by_role("link", name="Project Settings").click()
    page.get_by_role("link", name="Add a New Backup location").first.click()
    name = f"plain-{uuid.uuid4().hex[:6]}"
    fill(page, store.url, name)
    page.get_by_label("Force S3 path style").check()
    page.get_by_role("button", name="Validate").click()
    for _ in range(20):
        if page.locator("#validation header .badge").inner_text() == "Passed":
            break
        page.wait_for_timeout(500)
        page.reload()
    save(page, name)
    context.close()
