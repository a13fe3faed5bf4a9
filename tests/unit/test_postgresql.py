"""Whether a run of the tests is on PostgreSQL indeed: fails on any other database."""

from __future__ import annotations

import pytest
from django.db import connection

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


def test_this_run_is_on_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL ")


def test_it_sorts_as_people_do() -> None:
    """Unlike SQLite: what relies on the order of bytes shows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM (VALUES ('b'), ('B'), ('a'), ('ä')) AS names (name) ORDER BY name")
        assert [name for (name,) in cursor.fetchall()] == ["a", "ä", "b", "B"]
