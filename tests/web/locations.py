"""The form of a backup location as tests fill it in, send it and read the answer."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from backups.models import Access, BackupLocation, CheckState, LocationCheck, PlacedLocation
from workspaces.models import Cluster, Project

ACCESS, SECRET, WRONG = "AKIAPLANTEDACCESS", "planted-storage-secret", "planted-wrong-secret"
PLANTED = (ACCESS, SECRET, WRONG, "AKIAPLANTED", "planted-kubeconfig-secret")
SENT = list[tuple[str, str, int, str]]
STEPS = [{"id": "endpoint", "title": "Reach the endpoint", "outcome": "pass", "cause": "", "remedy": ""}]
REFUSED = {
    "id": "sign_in",
    "title": "Sign in",
    "outcome": "fail",
    "cause": "The secret key does not belong to the access key.",
    "remedy": "Copy the secret key again.",
}


def filled(**changes: Any) -> dict[str, Any]:
    """The form as a person with a MinIO fills it in."""
    values: dict[str, Any] = {
        "do": "validate",
        "provider": "s3",
        "name": "minio",
        "bucket": "harbor-backups",
        "region": "us-east-1",
        "path_style": "on",
        "s3_url": "https://minio.example.com:9000",
        "configuration": "",
        "certificate": "",
        "access_key": ACCESS,
        "secret_key": SECRET,
        "prefix": "",
    }
    return values | changes


def add_url(project: Project) -> str:
    return reverse("location_create", args=[project.pk])


def validated(client: Client, project: Project, **changes: Any) -> LocationCheck:
    """What pressing *Validate* on the empty form leaves behind."""
    before = set(LocationCheck.objects.values_list("pk", flat=True))
    response = client.post(add_url(project), filled(**changes))
    assert response.status_code == 302, unescape(response.content.decode())
    check = LocationCheck.objects.exclude(pk__in=before).get()
    assert response["Location"] == f"{draft_url(check)}#validation"
    return check


def draft_url(check: LocationCheck) -> str:
    return reverse("location_draft", args=[check.project_id, check.pk])


def end(check: LocationCheck, *steps: dict[str, str]) -> None:
    """What a worker writes."""
    failed = next((step for step in steps if step["outcome"] == "fail"), None)
    check.refresh_from_db()
    message = f"{failed['cause']} {failed['remedy']}" if failed else ""
    check.write(steps=list(steps), state=CheckState.FAILED if failed else CheckState.COMPLETED, message=message)


def text(response: Any) -> str:
    return unescape(str(response.content.decode()))


def no_secret(response: Any) -> HttpResponse:
    everything = response.content.decode() + str(response.headers)
    assert not [planted for planted in PLANTED if planted in everything]
    answer: HttpResponse = response
    return answer


def place(location: BackupLocation, cluster: Cluster, source: Cluster | None = None, **fields: Any) -> PlacedLocation:
    return PlacedLocation.objects.create(
        location=location,
        cluster=cluster,
        source=source or cluster,
        access=Access.READ_ONLY if source else Access.READ_WRITE,
        object_name=f"drydock-{uuid.uuid4().hex}",
        prefix=f"{location.prefix}/{cluster.uid}",
        phase_at=datetime.now(UTC),
        **fields,
    )


def save_is_off(response: Any) -> bool:
    button = re.search(r"<button[^>]*id=\"save\"[^>]*>", text(response))
    assert button
    return " disabled" in button.group()


def shown(response: Any, name: str) -> str:
    """The text of an element, as a person would copy it."""
    found = re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', response.content.decode(), re.DOTALL)
    assert found
    return unescape(re.sub(r"<[^>]+>", "", found.group(1)))


def as_shown(response: Any) -> dict[str, str]:
    """What a browser would send when nothing is touched."""
    body = response.content.decode()
    fields = {}
    for tag in re.findall(r"<input[^>]*>", body):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind = found.get("type")
        if kind in ("radio", "checkbox") and not re.search(r"\bchecked\b", tag):
            continue
        if kind != "file" and "name" in found and found["name"] not in ("csrfmiddlewaretoken", "q"):
            fields[found["name"]] = unescape(found.get("value", "on" if kind == "checkbox" else ""))
    for name, value in re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>(.*?)</textarea>', body, re.DOTALL):
        fields[name] = unescape(value).strip()
    return fields


def same_page(response: Any) -> str:
    """A page without what differs from request to request."""
    return re.sub(r"[0-9a-f]{12,}|value=\"[^\"]*\"|next=[^\"]*", "", response.content.decode())
