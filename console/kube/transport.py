"""The HTTP client under a Connection: where it may connect, whom it trusts, and what it never does.

- Every connect passes the AddressPolicy; proxies of the environment are ignored, redirects are not followed.
- Nothing is retried: urllib3's retries would repeat a write whose answer was lost.
- Client keys reach OpenSSL through anonymous memory (memfd), never through a file that could be left behind.
"""

from __future__ import annotations

import os
import socket
import ssl
from http.client import HTTPException
from typing import Any, cast

import urllib3
from kubernetes.client import ApiClient, Configuration
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from console.kube.errors import NotConnected
from console.kube.kubeconfig import ClusterAccess
from console.lib.addresses import AddressPolicy, guarded_pool_classes
from console.lib.errors import ConsoleError, Refused, clip

_KEPT_ALIVE = 8


def client_for(access: ClusterAccess, policy: AddressPolicy) -> ApiClient:
    """An ApiClient that obeys `policy`. Raises: Refused (a certificate or key cannot be loaded)."""
    # proxy="" (and not None) keeps HTTPS_PROXY of the environment out.
    client = ApiClient(Configuration(host=access.server, proxy="", no_proxy=""))
    client.rest_client.pool_manager = _manager(access, policy)
    return client


def tls_context(access: ClusterAccess) -> ssl.SSLContext:
    """Trusts the kubeconfig's CAs alone (the machine's if it names none), presents the client certificate.

    Raises: Refused.
    """
    try:
        ca = access.ca_data.decode("ascii", "ignore") if access.ca_data is not None else None
        context = ssl.create_default_context(cadata=ca)
        # As kubectl does: a certificate that the kubeconfig lists is trusted, even if it is no CA.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if access.client_certificate and access.client_key:
            _load_pair(context, access.client_certificate + b"\n" + access.client_key)
    except (ssl.SSLError, ValueError) as error:
        reason = clip(getattr(error, "reason", None) or type(error).__name__, 120)
        raise Refused(
            f"The certificates in the kubeconfig of {access.host} cannot be used: {reason}.",
            remedy="Replace the kubeconfig.",
        ) from error
    return context


def _load_pair(context: ssl.SSLContext, pem: bytes) -> None:
    """Hand certificate and key to OpenSSL, which takes them from files only, through memory that dies with us."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as memory:
            memory.write(pem)
        # The empty password keeps OpenSSL from asking a terminal if the key should turn out to be encrypted.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    finally:
        os.close(descriptor)


def _manager(access: ClusterAccess, policy: AddressPolicy) -> urllib3.PoolManager:
    options: dict[str, Any] = {"ssl_context": tls_context(access)}
    if access.tls_server_name:
        options["server_hostname"] = access.tls_server_name
    manager = _NoRedirects(
        num_pools=1,
        maxsize=_KEPT_ALIVE,
        retries=False,
        socket_options=[*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
        **options,
    )
    manager.pool_classes_by_scheme = cast(Any, guarded_pool_classes(policy, http=_HttpPool, https=_HttpsPool))
    return manager


class _NoRedirects(urllib3.PoolManager):
    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **kwargs: Any
    ) -> urllib3.BaseHTTPResponse:
        return super().urlopen(method, url, redirect=False, **kwargs)


class _Staged(HTTPConnection):
    """Tells failures before the request was sent from those after it; remembers the socket for `Watch.interrupt`."""

    live_socket: socket.socket | None = None

    def connect(self) -> None:
        try:
            super().connect()
        except ConsoleError:
            raise
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            raise NotConnected from error
        self.live_socket = self.sock


class _Http(_Staged):
    pass


class _Https(_Staged, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https
