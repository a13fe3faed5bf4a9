"""S3: no address that a person may type leads the console to this machine, to its network's link or to metadata.

Each spelling goes through each door by which an address comes in, as a person's request does: an action makes the row,
what a worker runs carries it out. Counted is what was connected to (bench.locations.internet), not what was said.

Doors: a cluster's server, new and registered; the S3 URL, tried and read from; Google's token_uri; the addresses that
stand in for the clouds' own; the clouds' own names in a poisoned DNS. The controls send the same addresses through a
stock client, which follows redirects, and through the same doors with the policy's judgement taken away.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import requests
import urllib3

from bench.access.database import in_memory
from bench.locations.doors import DOORS, Door, Visitor
from bench.locations.internet import Canaries, Internet
from bench.report import Report
from console.lib.addresses import AddressPolicy

PLAIN, SECURE = "203.0.113.7", "203.0.113.8"  # public addresses of a server that speaks http, and of one with TLS
OUTSIDE = "outside.example"
CLOUDS = (
    *("storage.googleapis.com", "oauth2.googleapis.com", "sts.us-east-1.amazonaws.com", "sts.amazonaws.com"),
    *("s3.us-east-1.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com", "bucket.s3.amazonaws.com"),
)
# As they stand in a URL, with the canaries' port behind them.
LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "127.1.2.3", "127.255.255.254", "2130706433", "017700000001"),
    *("0x7f000001", "0x7f.1", "0x7f.0.0.1", "0177.0.0.1", "0177.0.0.01", "127.0.0.1."),
    *("localhost", "localhost.", "LOCALHOST", "LocalHost.", "ip6-localhost", "ⓛocalhost", "127。0。0。1", "①②⑦.⓪.⓪.①"),
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]", "[fe80::1%25lo]"),
    *("0.0.0.0", "0", "[::]", "[::ffff:0.0.0.0]", "%31%32%37.0.0.1", "%6cocalhost"),
    *("here.example", "both.example"),
)
LEADING_HERE = ("here.example", "both.example", "metadata.google.internal")
METADATA = (
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.254.169.254"),
    *("169.254.169.254.", "169.254.170.2", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fe80::1]"),
    *("[fd00:ec2::254]", "[fd20:ce::254]", "metadata.google.internal", "169。254。169。254"),
)
# Whole authorities: who is asked depends on who reads them.
TRICKS = (
    *("outside.example@127.0.0.1:{port}", "outside.example:443@127.0.0.1:{port}", "@127.0.0.1:{port}"),
    *(
        "outside.example%40@127.0.0.1:{port}",
        "outside.example\\@127.0.0.1:{port}",
        "127.0.0.1:{port}\\@outside.example",
    ),
    *("127.0.0.1:{port}#@outside.example", "127.0.0.1:{port}?@outside.example", "127.0.0.1:{port}/@outside.example"),
    *(
        "outside.example @127.0.0.1:{port}",
        "127.0.0.1:{port}\t",
        "\t127.0.0.1:{port}",
        "outside.example\n@127.0.0.1:{port}",
    ),
    *("outside.example@169.254.169.254", "169.254.169.254\\@outside.example", "[outside.example@]127.0.0.1:{port}"),
)
HERE = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254")
REDIRECTS = (301, 302, 303, 307, 308)
_S3_REDIRECT = (
    "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message><Endpoint>{target}</Endpoint>"
    "<Bucket>bucket</Bucket></Error>"
)
FEWEST = 70  # addresses
SLOW = ("token_uri", "stand_in_for_clouds")  # a key of Google's takes a twentieth of a second to load
REDUCED = ("cluster_server", "s3_url")  # all addresses; through the slow ones every sixth


def check(*, full: bool, seed: int) -> Report:
    """Every address through every door; reduced, through one door of each kind."""
    report = Report("S3", "no address leads to this machine, its link or metadata", full)
    steps = dict.fromkeys(DOORS, 1) if full else dict.fromkeys(REDUCED, 1) | dict.fromkeys(SLOW, 6)
    with in_memory(OUTBOUND_ALLOW_LOOPBACK="0"), _outside() as outside:
        site = _Site(report, Visitor.made(f"http://127.0.0.1:{outside.ports[PLAIN]}"), outside)
        for name, step in steps.items():
            with site.round(name) as here:
                here.ask(DOORS[name], _addresses(here.port)[::step])
        _poisoned(site)
        _by_bucket(site)
        _rebound(site)
        _redirected(site)
        _in_test_mode(site, steps)
        _stock_client(site)
        _without_judgement(site, steps)
    return report


@dataclass
class _Outside:
    """Two servers that anybody may reach. They refuse, or send on to `location`."""

    ca: bytes
    ports: dict[str, int] = field(default_factory=dict)
    status: int = 404
    location: str = ""
    body: bytes = b""
    asked: int = 0

    def answer(self, method: str, path: str) -> Any:
        """What every request gets."""
        from tests.unit.backups.storage.answers import Answer

        self.asked += 1
        away = {"Location": self.location, "x-amz-bucket-region": "eu-west-1"} if self.location else {}
        return Answer(self.status, self.body, {"Connection": "close", **away})

    @contextmanager
    def saying(self, status: int, body: bytes = b"") -> Iterator[None]:
        """Answer so for a while."""
        before = self.status, self.body
        self.status, self.body = status, body
        yield
        self.status, self.body = before

    def sending_on(self, port: int) -> Iterator[None]:
        """Every way to send somebody on to this machine or to metadata, one after the other."""
        for target in (f"127.0.0.1:{port}", f"localhost:{port}", "169.254.169.254"):
            for status in REDIRECTS:
                self.status, self.location = status, f"http://{target}/"
                self.body = _S3_REDIRECT.format(target=target).encode()
                yield
            self.location = f"//{target}/"
            yield
        self.status, self.location, self.body = 404, "", b""


@contextmanager
def _outside() -> Iterator[_Outside]:
    from tests.unit.backups.storage.answers import certificate, served

    with tempfile.TemporaryDirectory() as folder:
        made = certificate(Path(folder), name=OUTSIDE, authority=True)
        outside = _Outside(made.pem.encode())
        with served(outside.answer) as (plain, _), served(outside.answer, made.context) as (secure, _):
            for address, url in ((PLAIN, plain), (SECURE, secure)):
                outside.ports[address] = int(url.rpartition(":")[2])
            yield outside


@dataclass
class _Round:
    """Some visits, while the internet is ours. `taken`: addresses that were not refused."""

    visitor: Visitor
    internet: Internet
    canaries: Canaries
    tried: int = 0
    came: int = 0
    taken: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where the canaries listen."""
        return self.canaries.port

    @property
    def hits(self) -> int:
        """As the process sees its own connections, and as the canaries do, which see those to this machine alone."""
        return max(self.came, len(self.internet.hits))

    def ask(self, door: Door, addresses: Iterable[str]) -> None:
        """Go through a door with each."""
        for address in addresses:
            self.tried += 1
            if not door(self.visitor, address):
                self.taken.append(address)


@dataclass(frozen=True)
class _Site:
    report: Report
    visitor: Visitor
    outside: _Outside

    @contextmanager
    def alone(self) -> Iterator[_Round]:
        """A round of which nothing is told."""
        internet = Internet(dict(_NAMES), dict(self.outside.ports))
        with internet.standing() as canaries:
            here = _Round(self.visitor, internet, canaries)
            yield here
            here.came = canaries.close()

    @contextmanager
    def round(self, metric: str) -> Iterator[_Round]:
        """Two lines: what was hit, and what was not refused."""
        with self.alone() as here:
            yield here
        told = f"{here.came} at canaries, {here.internet.reached} went to servers outside"
        self.report.say(f"{metric}_hits", here.hits, "= 0", n=here.tried, reference=told)
        self.report.say(f"{metric}_not_refused", len(here.taken), "= 0", n=here.tried)
        for what in [*here.internet.hits[:5], *here.taken[:5]]:
            self.report.note(f"{metric}: {what!r}")


_NAMES: dict[str, list[list[str]]] = {
    OUTSIDE: [[PLAIN]],
    "here.example": [["127.0.0.1"]],
    "both.example": [["169.254.169.254", "127.0.0.1"]],
    "metadata.google.internal": [["169.254.169.254"]],
}


def _addresses(port: int) -> list[str]:
    """Every address as it stands in a URL."""
    return [f"{host}:{port}" for host in LOOPBACK] + [*METADATA, *(trick.format(port=port) for trick in TRICKS)]


def _poisoned(site: _Site) -> None:
    """The clouds' own names lead here: nothing was typed at all."""
    with site.round("poisoned_clouds") as here:
        for address in HERE:
            here.internet.names |= {name: [[address]] for name in CLOUDS}
            for door in (Visitor.google, Visitor.role, Visitor.aws):
                here.ask(door, [""])


def _by_bucket(site: _Site) -> None:
    """The URL's host is a public server; with the bucket in front it is another name, which leads here."""
    with site.round("bucket_before_host") as here:
        here.internet.names |= {"example": [[PLAIN]], "google.internal": [[PLAIN]]}
        here.ask(Visitor.bucket, [f"{name}:{here.port}" for name in LEADING_HERE])
    reached = here.internet.reached
    site.report.say("bucket_before_host_began_outside", reached, f">= {here.tried}", n=here.tried)
    with site.alone() as here, _no_rules():
        here.internet.names |= {"example": [[PLAIN]]}
        here.ask(Visitor.bucket, [f"here.example:{here.port}"])
    site.report.control("bucket before host without the rules", failed=here.hits > 0, detail=f"{here.hits} hits")


def _rebound(site: _Site) -> None:
    """A name that is public when it is judged, and leads here when it is looked up again, for the next connection.

    The control judges a name and then connects to it, as a check of its own before a stock client would.
    """
    version = b'{"gitVersion": "v1.36.3"}'
    cluster = partial(Visitor.cluster, ca=site.outside.ca)
    doors: dict[str, tuple[Door, str, int]] = {
        "cluster": (cluster, SECURE, 200),
        "s3_url": (Visitor.s3, PLAIN, 503),
        "read": (Visitor.read, PLAIN, 503),
    }
    for name, (door, public, status) in doors.items():
        with site.outside.saying(status, version), site.round(f"rebound_{name}") as here:
            for address in HERE:
                here.internet.names[OUTSIDE] = [[public], [address]]
                here.ask(door, [f"{OUTSIDE}:{here.port}"])
        looked, needed = here.internet.asked[OUTSIDE], 2 * here.tried
        site.report.say(f"rebound_{name}_looked_up", looked, f">= {needed}", n=here.tried)
    with site.alone() as here:
        here.internet.names[OUTSIDE] = [[PLAIN], ["127.0.0.1"]]
        AddressPolicy().resolve(OUTSIDE, here.port)
        _stock(f"{OUTSIDE}:{here.port}")
    site.report.control("judged before a stock client connects", failed=here.hits > 0, detail=f"{here.hits} hits")


def _redirected(site: _Site) -> None:
    """A server that anybody may reach sends the console on, by every status, by S3's own words, over http and TLS."""
    over_tls = partial(Visitor.s3, scheme="https", ca_certificate=site.outside.ca.decode())
    cluster = partial(Visitor.cluster, ca=site.outside.ca)
    doors: dict[str, Door] = {
        "s3_url": Visitor.s3,
        "read": Visitor.read,
        "s3_url_https": over_tls,
        "cluster": cluster,
    }
    for name, door in doors.items():
        address = SECURE if name in ("s3_url_https", "cluster") else PLAIN
        before = site.outside.asked
        with site.round(f"redirected_{name}") as here:
            here.internet.names[OUTSIDE] = [[address]]
            for _ in site.outside.sending_on(here.port):
                here.ask(door, [OUTSIDE])
        site.report.say(f"redirected_{name}_asked_outside", site.outside.asked - before, f">= {here.tried}")
    with site.alone() as here:
        for _ in site.outside.sending_on(here.port):
            _stock(OUTSIDE)
    site.report.control("a stock client follows", failed=here.hits > 0, detail=f"{here.hits} hits")


def _in_test_mode(site: _Site, steps: Mapping[str, int]) -> None:
    """Where this machine is allowed, the console's own Redis and database still are not, nor metadata; no redirect."""
    with site.round("test_mode_own_redis") as here, _loopback_allowed(REDIS_URL=f"redis://127.0.0.1:{here.port}"):
        for name, step in steps.items():
            here.ask(DOORS[name], _addresses(here.port)[:: step if site.report.full else 3 * step])
    own = site.outside.ports[PLAIN]
    with site.round("test_mode_redirected") as here, _loopback_allowed():
        before = site.outside.asked
        for _ in site.outside.sending_on(here.port):
            here.ask(Visitor.stand_in, [f"127.0.0.1:{own}"])
            here.ask(Visitor.s3, [f"127.0.0.1:{own}"])
    site.report.say("test_mode_reaches_what_it_may", site.outside.asked - before, f">= {here.tried}")


@contextmanager
def _loopback_allowed(**settings: Any) -> Iterator[None]:
    from django.test import override_settings

    from console.lib import outbound

    with override_settings(OUTBOUND_ALLOW_LOOPBACK=True, **settings):
        outbound.policy.cache_clear()
        yield
    outbound.policy.cache_clear()


def _stock_client(site: _Site) -> None:
    """How many of the addresses are dangerous at all: a stock client hits with them."""
    with site.alone() as here:
        addresses, dangerous = _addresses(here.port), 0
        for address in addresses:
            before = len(here.internet.hits)
            _stock(address)
            dangerous += len(here.internet.hits) > before
    site.report.say("addresses", len(addresses), f">= {FEWEST}", reference=f"a stock client hits with {dangerous}")
    detail = f"{dangerous} of {len(addresses)} addresses hit, {here.came} came to a canary"
    site.report.control("a stock client", failed=dangerous > len(addresses) / 2 and here.came > 0, detail=detail)


def _stock(address: str) -> None:
    """GET, as a library does it by itself."""
    session = requests.Session()
    session.trust_env = False
    with contextlib.suppress(requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError):
        session.get(f"http://{address}/", timeout=2)


def _without_judgement(site: _Site, doors: Iterable[str]) -> None:
    """Every door leads somewhere: without the rules each of them hits."""
    for name in doors:
        with site.alone() as here, _no_rules():
            here.ask(DOORS[name], [f"127.0.0.1:{here.port}", f"localhost:{here.port}", "169.254.169.254"])
        site.report.control(f"{name} without the rules", failed=here.hits > 0, detail=f"{here.hits} hits")


@contextmanager
def _no_rules() -> Iterator[None]:
    with contextlib.ExitStack() as rules:
        for rule, instead in _NO_RULES.items():
            rules.enter_context(mock.patch(rule, instead))
        yield


_NO_RULES: dict[str, Any] = {
    "console.lib.addresses.AddressPolicy._objection": lambda *_: "",
    "backups.storage.service_account._check_google": lambda *_, **__: None,
    "console.lib.outbound._stand_in": lambda url: url,
}
