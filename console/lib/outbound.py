"""Where this console's workers may connect to, from settings."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address, ip_network
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


def sts_url() -> str:
    """Where roles are assumed instead of at AWS's own STS; empty almost always."""
    return _stand_in(settings.AWS_ENDPOINT_URL_STS)


def gcs_url() -> str:
    """What stands in for Google Cloud Storage; empty almost always."""
    return _stand_in(settings.GCS_ENDPOINT_URL)


def _stand_in(url: str) -> str:
    """`url` if it leads to this machine and the sandbox is allowed to: elsewhere it would be shown real credentials."""
    try:
        is_here = ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return ""
    return url if is_here and settings.OUTBOUND_ALLOW_LOOPBACK else ""


def _own_services() -> list[tuple[str, int]]:
    database, redis = settings.DATABASES["default"], urlsplit(settings.REDIS_URL)
    own = [(redis.hostname, redis.port or DEFAULT_PORTS.get(redis.scheme, 6379))] if redis.hostname else []
    if database.get("HOST") and not database["HOST"].startswith("/"):
        own.append((database["HOST"], int(database.get("PORT") or DEFAULT_PORTS["postgresql"])))
    return own
