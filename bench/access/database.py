"""A console of this process alone, its database in memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from unittest import mock

import django

from console.lib.keys import new_key


@contextlib.contextmanager
def in_memory(**variables: str) -> Iterator[None]:
    """Nothing is sent to any queue. `variables` are of its environment."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"SECRET_KEY": new_key() * 2, "CONSOLE_KEYS": new_key(), "DRYDOCK_VAR": folder}
        os.environ |= own | {"DJANGO_SETTINGS_MODULE": "console.settings", "LOG_LEVEL": "CRITICAL"} | variables
        os.environ.pop("DATABASE_URL", None)
        django.setup()
        from django.conf import settings
        from django.db import connection
        from django.test.utils import override_settings, setup_test_environment

        setup_test_environment()
        plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
        hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        with override_settings(STORAGES=settings.STORAGES | plain, PASSWORD_HASHERS=hashers):
            connection.creation.create_test_db(verbosity=0)
            with mock.patch("console.lib.queue._send"):
                yield
