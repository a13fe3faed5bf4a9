"""Where this console's workers may connect to, from settings."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_network
from urllib.parse import urlsplit

from django.conf import settings

from console.lib.addresses import AddressPolicy

DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "postgresql": 5432}


@cache
def policy() -> AddressPolicy:
    """Never link-local or metadata addresses, never our own database or Redis; loopback only when allowed."""
    return AddressPolicy(
        allow_loopback=settings.OUTBOUND_ALLOW_LOOPBACK,
        allowed=tuple(ip_network(network) for network in settings.OUTBOUND_ALLOW),
        refused_endpoints=frozenset(_own_services()),
    )


def _own_services() -> list[tuple[str, int]]:
    database, redis = settings.DATABASES["default"], urlsplit(settings.REDIS_URL)
    own = [(redis.hostname, redis.port or DEFAULT_PORTS.get(redis.scheme, 6379))] if redis.hostname else []
    if database.get("HOST") and not database["HOST"].startswith("/"):
        own.append((database["HOST"], int(database.get("PORT") or DEFAULT_PORTS["postgresql"])))
    return own
