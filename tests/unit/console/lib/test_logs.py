"""The net under the rule that nothing passes a secret to a logger."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from console.lib import context, logs


class Written:
    """What the console's handler wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def written() -> Iterator[Written]:
    """Logging as in production, into memory."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(level="INFO", human=False)
    kept = Written()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(kept.stream)
    yield kept
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "SECRET_KEY",
        "aws_secret_access_key",
        "token",
        "kubeconfig",
        "credentials",
        "Authorization",
        "cookie",
        "private_key",
    ],
)
def test_a_value_under_a_secrets_name_is_masked(key: str) -> None:
    assert logs.mask(None, "info", {key: "planted"}) == {key: "•••"}


def test_also_deep_inside() -> None:
    event = {"draft": {"bucket": "b", "credentials": {"access_key": "planted"}}, "list": [{"token": "planted"}]}
    masked = logs.mask(None, "info", event)
    assert "planted" not in repr(masked)
    assert masked["draft"]["bucket"] == "b"


@pytest.mark.parametrize(
    "url", ["redis://:planted@host:6379/0", "postgresql://me:planted@db/drydock", "https://me:planted@host/path"]
)
def test_passwords_in_addresses_are_masked(url: str) -> None:
    masked = logs.mask(None, "info", {"event": f"cannot reach {url}", "url": url})
    assert "planted" not in repr(masked)
    assert "host" in masked["url"] or "db" in masked["url"]


def test_other_values_stay() -> None:
    event = {"event": "done", "row": "1", "seconds": 1.5, "names": ["a", "b"], "nothing": None}
    assert logs.mask(None, "info", dict(event)) == event


def test_a_line_is_one_json_object_with_the_reference(written: Written) -> None:
    with context.caused_by("0123456789ab", row="7"):
        structlog.get_logger("drydock.test").warning("something", password="planted")
        logging.getLogger("somebody.else").warning("theirs %s", "redis://:planted@host")
    found = written.lines()
    assert [line["event"] for line in found] == ["something", "theirs redis://:•••@host"]
    assert all(line["reference"] == "0123456789ab" and line["row"] == "7" for line in found)
    assert found[0]["level"] == "warning"
    assert found[0]["logger"] == "drydock.test"
    assert "planted" not in json.dumps(found)


def test_an_exception_is_in_the_line(written: Written) -> None:
    try:
        raise ValueError("postgresql://me:planted@db is away")
    except ValueError:
        structlog.get_logger("drydock.test").exception("broke")
    (line,) = written.lines()
    assert "ValueError" in str(line["exception"])
    assert "planted" not in str(line)
