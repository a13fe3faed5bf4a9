"""What tests of pages share."""

from __future__ import annotations

import pytest


@pytest.fixture
def commits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own transaction never commits: what waits for the commit is done at once."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda send: send())
