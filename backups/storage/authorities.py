"""Who may sign a store's certificate."""

from __future__ import annotations

import contextlib
import ssl
from functools import lru_cache

import certifi

from backups.storage.trouble import Kind, StoreError, Trouble


@lru_cache(maxsize=64)
def authorities(ca_pem: str) -> ssl.SSLContext:
    """What may sign the store's certificate: public authorities, this machine's, and those pasted with the location.

    Kept, because reading them takes a tenth of a second.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context would obey SSLKEYLOGFILE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    with contextlib.suppress(OSError):
        context.load_verify_locations(cafile=certifi.where())
    if ca_pem:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise StoreError(_bad_certificate()) from error
    return context


def _bad_certificate() -> Trouble:
    return Trouble(
        Kind.SETTING,
        detail="The certificate cannot be read.",
        action="Paste it as PEM, from BEGIN CERTIFICATE to END CERTIFICATE.",
        field="ca_certificate",
    )
