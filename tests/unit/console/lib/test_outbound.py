"""Stand-ins for the clouds' own addresses: on this machine, and only where that is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from console.lib import outbound


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://[::1]:9/x"])
def test_on_this_machine(settings: Any, url: str) -> None:
    settings.OUTBOUND_ALLOW_LOOPBACK = True
    settings.AWS_ENDPOINT_URL_STS = settings.GCS_ENDPOINT_URL = url
    assert (outbound.sts_url(), outbound.gcs_url()) == (url, url)
    settings.OUTBOUND_ALLOW_LOOPBACK = False
    assert (outbound.sts_url(), outbound.gcs_url()) == ("", "")


@pytest.mark.parametrize("url", ["", "http://sts.evil.example", "http://10.0.0.1", "http://localhost:1", "http://["])
def test_nowhere_else(settings: Any, url: str) -> None:
    settings.OUTBOUND_ALLOW_LOOPBACK = True
    settings.AWS_ENDPOINT_URL_STS = settings.GCS_ENDPOINT_URL = url
    assert (outbound.sts_url(), outbound.gcs_url()) == ("", "")
