"""P6: looking at pages asks nothing of clusters and buckets: the web process opens no connection."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import User
from backups.models import BackupLocation, VolumePreview
from backups.views.restore_wizard import RESTORE
from tests.web.test_backup import make_backup
from workspaces import wizard
from workspaces.models import Cluster

pytestmark = pytest.mark.django_db
OURS = ("accounts.", "backups.", "console.", "workspaces.")
UNSEEN = {"metrics", "readyz"}  # they ask Redis how it is, by design


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address a socket was asked to connect to."""
    seen: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: seen.append(address))
    return seen


def routes() -> list[URLPattern]:
    """Our own named pages."""
    found: list[URLPattern] = []
    left: list[URLPattern | URLResolver] = list(get_resolver().url_patterns)
    while left:
        each = left.pop()
        if isinstance(each, URLResolver):
            left += each.url_patterns
        elif each.name and each.lookup_str.startswith(OURS) and each.name not in UNSEEN:
            found.append(each)
    return found


def test_no_page_opens_a_connection(
    client: Client, alice: User, east: Cluster, west: Cluster, store: BackupLocation, connects: list[object]
) -> None:
    client.force_login(alice)
    backup = make_backup(east, store)
    draft = wizard.begin(RESTORE, owner=alice, project=east.project, backup=str(backup.pk)).split("/")[2]
    preview = VolumePreview.objects.create(project=east.project, cluster=east, requested_by=alice)
    rows: dict[str, Any] = {
        "project": east.project_id, "cluster": east.pk, "location": store.pk, "backup": backup.pk, "pk": backup.pk,
        "draft": draft, "step": "target", "preview": preview.pk,
    }  # fmt: skip
    visited = 0
    for route in routes():
        wanted = {name: rows[name] for name in route.pattern.converters if name in rows}
        if len(wanted) == len(route.pattern.converters):
            client.get(reverse(route.name, kwargs=wanted))
            visited += 1
    assert visited > 20
    assert connects == []


def test_control_a_connection_would_be_seen(connects: list[object]) -> None:
    socket.create_connection(("127.0.0.1", 1)).close()
    assert connects
