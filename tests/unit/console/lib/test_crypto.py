"""The key ring and the encrypted field: rotation, binding to a place, and that nothing leaks."""

from __future__ import annotations

import base64
import os
import traceback
from collections.abc import Callable

import pytest
from django.core import serializers
from django.db import connection, transaction
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from backups.models import BackupLocation, LocationCheck
from console.lib.crypto import CannotOpen, KeyRing, Sealed, key_ring
from console.lib.keys import new_key
from tests.conftest import make_location
from workspaces.models import Cluster, ClusterCheck, Project

SECRET = "planted-storage-secret"
CREDENTIALS = {"access_key": "AKIAPLANTED", "secret_key": SECRET}


def stored(row: BackupLocation) -> str:
    """The column as it lies in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credentials FROM backups_backuplocation WHERE id = %s", [row.pk.hex])
        found = cursor.fetchone()
    return str(found[0])


def plant(table: str, column: str, row: BackupLocation | Cluster | LocationCheck, sealed: str) -> None:
    """Write a ciphertext past the field."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [sealed, row.pk.hex])


class TestKeyRing:
    @given(st.binary(max_size=300), st.text(max_size=40))
    def test_what_is_sealed_opens_again(self, plain: bytes, place: str) -> None:
        ring = KeyRing([new_key()])
        place = place.encode("utf-8", "replace").decode()
        assert ring.open(ring.seal(plain, place), place) == plain

    def test_an_old_key_opens_and_the_newest_seals(self) -> None:
        old, new = new_key(), new_key()
        before = KeyRing([old]).seal(b"x", "place")
        rotated = KeyRing([new, old])
        assert rotated.open(before, "place") == b"x"
        assert not rotated.is_current(before)
        after = rotated.seal(b"x", "place")
        assert rotated.is_current(after)
        assert KeyRing([new]).open(after, "place") == b"x"

    def test_a_key_that_left_the_ring_opens_nothing(self) -> None:
        sealed = KeyRing([new_key()]).seal(b"x", "place")
        with pytest.raises(CannotOpen, match="cannot be decrypted") as caught:
            KeyRing([new_key()]).open(sealed, "place")
        assert "CONSOLE_KEYS" in caught.value.remedy

    def test_another_place_does_not_open(self) -> None:
        ring = KeyRing([new_key()])
        with pytest.raises(CannotOpen):
            ring.open(ring.seal(b"x", "table:row:field"), "table:other:field")

    @given(st.integers(min_value=0, max_value=200))
    def test_an_altered_value_does_not_open(self, position: int) -> None:
        ring = KeyRing([new_key()])
        version, key_id, body = ring.seal(b"some plain text", "place").split(".")
        raw = bytearray(base64.b64decode(body))
        raw[position % len(raw)] ^= 1
        with pytest.raises(CannotOpen):
            ring.open(f"{version}.{key_id}.{base64.b64encode(raw).decode()}", "place")

    @given(st.text(max_size=60))
    def test_anything_else_is_refused_and_not_a_crash(self, text: str) -> None:
        with pytest.raises(CannotOpen):
            KeyRing([new_key()]).open(text, "place")

    def test_the_same_text_never_looks_the_same(self) -> None:
        ring = KeyRing([new_key()])
        assert len({ring.seal(b"x", "place") for _ in range(50)}) == 50

    @pytest.mark.parametrize("keys", [[], [""], ["not base64!"], [base64.b64encode(os.urandom(16)).decode()]])
    def test_a_ring_of_bad_keys_is_refused(self, keys: list[str]) -> None:
        with pytest.raises(ValueError, match=r"."):
            KeyRing(keys)

    def test_it_does_not_show_its_keys(self) -> None:
        key = new_key()
        ring = KeyRing([key])
        assert key not in repr(ring)
        assert key not in repr(vars(ring))


@pytest.mark.django_db
class TestField:
    def test_the_column_holds_no_plain_text(self, project: Project) -> None:
        row = make_location(project)
        assert stored(row).startswith("v1.")
        assert SECRET not in stored(row)
        assert BackupLocation.objects.get(pk=row.pk).credentials == CREDENTIALS

    def test_a_list_of_rows_opens_nothing(self, project: Project) -> None:
        make_location(project)
        assert isinstance(BackupLocation.objects.get().__dict__["credentials"], Sealed)

    def test_a_deferred_column_is_fetched_when_read(self, project: Project) -> None:
        make_location(project)
        row = BackupLocation.objects.defer("credentials").get()
        assert "credentials" not in row.__dict__
        assert row.credentials == CREDENTIALS
        assert BackupLocation.objects.only("name").get().credentials == CREDENTIALS

    def test_saving_an_unopened_row_keeps_the_value(self, project: Project) -> None:
        row = make_location(project)
        before = stored(row)
        again = BackupLocation.objects.get()
        again.name = "renamed"
        again.save()
        assert stored(row) == before

    def test_refreshing_and_changing(self, project: Project) -> None:
        row = make_location(project)
        row.credentials = {"access_key": "A", "secret_key": "other"}
        row.save(update_fields=["credentials"])
        again = BackupLocation.objects.get()
        assert again.credentials["secret_key"] == "other"
        again.refresh_from_db()
        assert again.credentials["secret_key"] == "other"

    def test_rows_made_in_bulk_are_bound_too(self, project: Project) -> None:
        rows = [
            BackupLocation(project=project, name=name, bucket="b", prefix=name, credentials=CREDENTIALS)
            for name in ("one", "two")
        ]
        BackupLocation.objects.bulk_create(rows)
        assert [row.credentials for row in BackupLocation.objects.all()] == [CREDENTIALS] * 2

    def test_nothing_stays_nothing(self, project: Project) -> None:
        check = ClusterCheck.objects.create(project=project)
        assert ClusterCheck.objects.get(pk=check.pk).kubeconfig is None

    def test_rotation_opens_the_old_and_seals_with_the_new(self, project: Project, settings: Settings) -> None:
        old, new = new_key(), new_key()
        settings.CONSOLE_KEYS = [old]
        row = make_location(project)
        settings.CONSOLE_KEYS = [new, old]
        again = BackupLocation.objects.get()
        assert again.credentials == CREDENTIALS
        again.save()
        settings.CONSOLE_KEYS = [new]
        assert BackupLocation.objects.get(pk=row.pk).credentials == CREDENTIALS

    def test_a_ciphertext_of_another_row_does_not_open(self, project: Project) -> None:
        one, other = make_location(project, "one"), make_location(project, "other")
        plant("backups_backuplocation", "credentials", other, stored(one))
        with pytest.raises(CannotOpen):
            _ = BackupLocation.objects.get(pk=other.pk).credentials

    def test_a_ciphertext_of_another_table_does_not_open(self, project: Project) -> None:
        one = make_location(project)
        check = LocationCheck.objects.create(pk=one.pk, project=project, draft={})
        plant("backups_locationcheck", "draft", check, stored(one))
        with pytest.raises(CannotOpen):
            _ = LocationCheck.objects.get(pk=check.pk).draft

    def test_a_ciphertext_of_another_field_does_not_open(self, project: Project) -> None:
        ring_place = "backups_backuplocation:{}:other"
        one = make_location(project)
        plant("backups_backuplocation", "credentials", one, key_ring().seal(b"{}", ring_place.format(one.pk)))
        with pytest.raises(CannotOpen):
            _ = BackupLocation.objects.get(pk=one.pk).credentials

    def test_update_and_filters_are_refused(self, project: Project) -> None:
        row = make_location(project)
        row.credentials = {"secret_key": "plain"}
        attempts: list[Callable[[], object]] = [
            lambda: BackupLocation.objects.update(credentials={"secret_key": "plain"}),
            lambda: BackupLocation.objects.filter(credentials={"secret_key": "plain"}).exists(),
            lambda: BackupLocation.objects.bulk_update([row], ["credentials"]),
        ]
        for attempt in attempts:
            with pytest.raises(TypeError, match="save"), transaction.atomic():
                attempt()
        assert BackupLocation.objects.get().credentials == CREDENTIALS

    def test_a_copied_column_does_not_open(self, project: Project) -> None:
        cluster = Cluster.objects.create(project=project, name="c", kubeconfig={"kubeconfig": "k", "context": ""})
        Cluster.objects.filter(pk=cluster.pk).update(state_reason=F("kubeconfig"))
        check = ClusterCheck.objects.create(project=project, cluster=cluster)
        with pytest.raises(CannotOpen):
            check.__dict__["kubeconfig"] = Sealed(Cluster.objects.get(pk=cluster.pk).state_reason)
            _ = check.kubeconfig

    def test_neither_repr_nor_errors_show_the_secret(self, project: Project, settings: Settings) -> None:
        row = make_location(project)
        assert SECRET not in repr(row) + str(row) + repr(BackupLocation.objects.all())
        settings.CONSOLE_KEYS = [new_key()]
        with pytest.raises(CannotOpen) as caught:
            _ = BackupLocation.objects.get().credentials
        told = "".join(traceback.format_exception(caught.value)) + caught.value.sentence()
        assert SECRET not in told
        assert not any(key in told for key in settings.CONSOLE_KEYS)

    def test_it_is_not_serialized(self, project: Project) -> None:
        make_location(project)
        with pytest.raises(TypeError, match="not serialized"):
            serializers.serialize("json", BackupLocation.objects.all())
