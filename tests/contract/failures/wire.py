"""Between the console and a store: the network, TLS, servers that are no store, addresses that are not for us."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from backups.storage import StorageTarget, aws
from tests.contract.failures.case import UNSENT, Case, Place, at, group
from tests.contract.failures.ground import Ground, closed_port, crowded, web_server
from tests.contract.realstore import BUCKET
from tests.fakes.oddservers import RawServer
from tests.unit.backups.storage.answers import LISTING, Answer, certificate, error, served

METADATA = "http://169.254.169.254"


# The network


def network() -> list[Case]:
    return group(
        "network",
        ("unknown host", "real", "the resolver", "endpoint", "cannot be resolved", _unknown_host),
        ("refused connection", "real", "the kernel", "endpoint", "Nothing listens", _refused),
        ("no connection in time", "real", "the kernel, its queue is full", "endpoint", "in time", _crowded),
        ("no answer in time", "fake", "a server that says nothing", "endpoint", "did not answer in time", _silent),
        ("hangs up", "fake", "a server that closes at once", "endpoint", "closed the connection", _hangs_up),
    )


@at
def _unknown_host(ground: Ground) -> StorageTarget:
    return ground.s3(s3_url="http://nowhere.invalid:9000")


@at
def _refused(ground: Ground) -> StorageTarget:
    return ground.s3(s3_url=f"http://127.0.0.1:{closed_port()}")


@contextmanager
def _crowded(ground: Ground) -> Iterator[StorageTarget]:
    with crowded() as url, mock.patch.object(aws, "CONNECT_TIMEOUT", 0.5):
        yield ground.s3(s3_url=url)


@contextmanager
def _silent(ground: Ground) -> Iterator[StorageTarget]:
    with socket.create_server(("127.0.0.1", 0)) as listener, mock.patch.object(aws, "READ_TIMEOUT", 0.3):
        yield ground.s3(s3_url=f"http://127.0.0.1:{listener.getsockname()[1]}")


@contextmanager
def _hangs_up(ground: Ground) -> Iterator[StorageTarget]:
    with RawServer(whole=b"\r\n") as url:
        yield ground.s3(s3_url=url)


# TLS


def tls() -> list[Case]:
    weed = "SeaweedFS"
    return group(
        "TLS",
        ("unknown authority", "real", weed, "tls", "does not know", at(lambda g: g.tls(ca_pem=None))),
        ("certificate for another name", "real", weed, "tls", "another name", _other_name),
        ("certificate that has ended", "real", "Python's TLS", "tls", "not valid today", _ended_certificate),
        ("self-signed certificate", "real", "Python's TLS", "tls", "self-signed", _self_signed),
        (
            "https where http is spoken",
            "real",
            weed,
            "tls",
            "plain http",
            at(lambda g: g.tls(s3_url=_swap(g.store.url))),
        ),
        (
            "http where https is spoken",
            "real",
            weed,
            "tls",
            "wants https",
            at(lambda g: g.s3(s3_url=_swap(g.store.tls_url))),
        ),
        (
            "certificate that is not PEM",
            "real",
            UNSENT,
            "endpoint",
            "certificate",
            at(lambda g: g.tls(ca_pem="not PEM")),
        ),
    )


def _swap(url: str) -> str:
    return url.replace("https:", "http:") if url.startswith("https:") else url.replace("http:", "https:")


@at
def _other_name(ground: Ground) -> StorageTarget:
    return ground.tls(s3_url=ground.store.tls_url.replace("127.0.0.1", "localhost"))


@contextmanager
def _ended_certificate(ground: Ground) -> Iterator[StorageTarget]:
    with tempfile.TemporaryDirectory() as folder:
        made = certificate(Path(folder), authority=True, days=-1)
        with served(lambda method, path: Answer(), made.context) as (url, _):
            yield ground.s3(s3_url=url, ca_pem=made.pem)


@contextmanager
def _self_signed(ground: Ground) -> Iterator[StorageTarget]:
    with tempfile.TemporaryDirectory() as folder:
        made = certificate(Path(folder))
        with served(lambda method, path: Answer(), made.context) as (url, _):
            yield ground.s3(s3_url=url)


# What answers is something else


def other_servers() -> list[Case]:
    return group(
        "other servers",
        ("not S3 at all", "real", "Python's web server", "bucket", "not an S3 store", _web_server),
        ("a proxy's page", "fake", "a page with status 200", "bucket", "not an S3 store", _proxy_page),
        ("a proxy that wants a sign-in", "fake", "a page with status 407", "bucket", "not an S3 store", _proxy_sign_in),
        ("a store that is too busy", "fake", "SlowDown", "sign_in", "left alone", _busy),
        ("a cache in between", "fake", "an old body for every object", "read", "not what was written", _cache),
    )


@contextmanager
def _web_server(ground: Ground) -> Iterator[StorageTarget]:
    with tempfile.TemporaryDirectory() as folder, web_server(Path(folder)) as url:
        yield ground.s3(s3_url=url)


def _answering(answer: Callable[[str, str], Answer]) -> Place:
    @contextmanager
    def place(ground: Ground) -> Iterator[StorageTarget]:
        with served(answer) as (url, _):
            yield ground.s3(s3_url=url)

    return place


_proxy_page = _answering(lambda method, path: Answer(200, b"<html>Welcome to the network</html>"))
_proxy_sign_in = _answering(lambda method, path: Answer(407, b"<html>Sign in to the proxy</html>"))
_busy = _answering(lambda method, path: error(503, "SlowDown"))
_LISTED = LISTING.replace("<Name>bucket<", f"<Name>{BUCKET}<").encode()
_cache = _answering(
    lambda method, path: Answer(200, (_LISTED if "list-type=2" in path else b"old") if method == "GET" else b"")
)


# Addresses


def addresses() -> list[Case]:
    return group(
        "addresses",
        ("metadata address", "real", UNSENT, "endpoint", "metadata", at(lambda g: g.s3(s3_url=METADATA))),
        (
            "metadata address as one number",
            "real",
            UNSENT,
            "endpoint",
            "metadata",
            at(lambda g: g.s3(s3_url="http://2852039166")),
        ),
        ("redirect to it", "fake", "a redirect, not followed", "bucket", "does not follow", _redirect),
        (
            "redirect to it from Google",
            "fake",
            "a redirect, not followed",
            "bucket",
            "does not follow",
            _redirect_by_google,
        ),
        ("STS at it", "real", UNSENT, "sign_in", "metadata", at(lambda g: g.role(sts_url=METADATA))),
        (
            "something behind the host",
            "real",
            UNSENT,
            "endpoint",
            "behind the host",
            at(lambda g: g.s3(s3_url="http://h/path")),
        ),
    )


_AWAY = Answer(307, b"", {"Location": f"{METADATA}/latest/meta-data/iam/security-credentials/"})
_redirect = _answering(lambda method, path: _AWAY)


@contextmanager
def _redirect_by_google(ground: Ground) -> Iterator[StorageTarget]:
    with served(lambda method, path: _AWAY) as (url, _):
        yield replace(ground.gcs(), gcs_url=url)
