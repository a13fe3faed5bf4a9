"""What is wrong with a row is said at its field."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError

from backups.models import BackupLocation
from console.lib.errors import BadInput
from console.lib.rows import save_changed, save_new
from tests.conftest import make_cluster, make_location
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db


def location(project: Project, **fields: object) -> BackupLocation:
    values: dict[str, object] = {"name": "new", "bucket": "b", "prefix": "p", "credentials": {"secret_key": "planted"}}
    return BackupLocation(project=project, **values | fields)


def test_a_good_row_is_saved(project: Project) -> None:
    row = location(project)
    save_new(row)
    assert BackupLocation.objects.get() == row


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"bucket": ""}, "bucket"),
        ({"provider": "ftp"}, "provider"),
        ({"credentials": {}}, "credentials"),
    ],
)
def test_the_field_at_fault_is_named(project: Project, fields: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        save_new(location(project, **fields))
    assert caught.value.field == field
    assert caught.value.message
    assert "planted" not in caught.value.sentence()
    assert not BackupLocation.objects.exists()


def test_a_constraint_is_said_in_its_own_words(project: Project) -> None:
    make_location(project, "new")
    with pytest.raises(BadInput, match="of this name is in the project already") as caught:
        save_new(location(project))
    assert caught.value.field == ""


def test_somebody_faster_is_said_in_the_same_words(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check and the insert another request inserted the same name."""
    row = location(project)
    monkeypatch.setattr(row, "full_clean", lambda: make_location(project, "new"))
    with pytest.raises(BadInput, match="of this name is in the project already"):
        save_new(row)
    assert BackupLocation.objects.count() == 1


def test_somebody_faster_with_the_same_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    row = location(project)
    monkeypatch.setattr(row, "full_clean", lambda: make_location(project, "other", pk=row.pk))
    with pytest.raises(BadInput, match="Somebody else saved the same"):
        save_new(row)


def test_saving_never_overwrites_a_row_of_that_key(project: Project) -> None:
    there = make_location(project, "there")
    with pytest.raises((BadInput, IntegrityError)):
        save_new(location(project, pk=there.pk))
    assert BackupLocation.objects.get().name == "there"


def test_only_the_named_fields_change(project: Project) -> None:
    cluster = make_cluster(project, "east")
    cluster.name, cluster.server = "west", "https://elsewhere"
    save_changed(cluster, "name")
    stored = Cluster.objects.get()
    assert stored.name == "west"
    assert stored.server == "https://east.example:6443"


def test_a_bad_change_is_refused_and_nothing_is_written(project: Project) -> None:
    make_cluster(project, "east")
    other = make_cluster(project, "west")
    other.name = "east"
    with pytest.raises(BadInput, match="registered in the project already"):
        save_changed(other, "name")
    assert sorted(Cluster.objects.values_list("name", flat=True)) == ["east", "west"]


def test_somebody_faster_with_a_change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_cluster(project, "west", uid=str(uuid.uuid4()))
    other.name = "east"
    monkeypatch.setattr(other, "full_clean", lambda: make_cluster(project, "east"))
    with pytest.raises(BadInput, match="registered in the project already"):
        save_changed(other, "name")
