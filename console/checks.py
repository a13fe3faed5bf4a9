"""What `manage.py check` looks at. Each finding has an id, and a hint that says how to mend it."""

from __future__ import annotations

import stat
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from console.lib import keys
from console.lib.crypto import KeyRing


@register(Tags.security)
def key_ring_is_usable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """console.E001"""
    try:
        KeyRing(settings.CONSOLE_KEYS)
    except ValueError as error:
        hint = "CONSOLE_KEYS is a comma-separated list of base64 texts of 32 bytes each, newest first."
        return [Error(f"The key ring cannot be used: {error}", hint=hint, id="console.E001")]
    return []


@register(Tags.security)
def key_file_is_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """console.E002"""
    file = settings.VAR / keys.FILE_NAME
    if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
        return [Error("Others can read the console's keys.", hint=f"chmod 600 {file}", id="console.E002")]
    return []


@register(Tags.database)
def sqlite_takes_write_locks_early(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """console.E003"""
    database = settings.DATABASES["default"]
    if "sqlite" in database["ENGINE"] and database.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
        hint = 'Set OPTIONS["transaction_mode"] = "IMMEDIATE"; without it concurrent writers fail with "locked".'
        return [Error("SQLite transactions are not IMMEDIATE.", hint=hint, id="console.E003")]
    return []


@register(Tags.security, deploy=True)
def loopback_is_refused_in_production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """console.W001"""
    if settings.OUTBOUND_ALLOW_LOOPBACK:
        hint = (
            "Unset OUTBOUND_ALLOW_LOOPBACK: with it, people who register clusters can reach services of this machine."
        )
        return [Warning("Workers may connect to loopback addresses.", hint=hint, id="console.W001")]
    return []
