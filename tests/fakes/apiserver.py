"""A kube-apiserver on the wire, in memory: what the console's code talks to in tests that need no real cluster.

One listener serves any number of clusters, told apart by the first segment of the path (`https://127.0.0.1:port/east`),
on one event loop in one thread, so that a thousand simulated clusters with their watches stay cheap. Tests write
objects through the API or behind its back (`cluster.put`), give users and rights, and inject faults.

    with FakeApiServer() as server:
        east = server.add_cluster("east")
        with connect(east.access(), AddressPolicy(allow_loopback=True)) as connection: ...

Held against the real one by `tests/contract/test_kube.py`. Not here: admission, defaulting, garbage collection, PUT,
JSON patch, deleting collections.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

import yaml

from console.kube.kubeconfig import ClusterAccess
from tests.fakes import apiserver_rules as rules
from tests.fakes.apiserver_faults import Fault, Faults, Request
from tests.fakes.apiserver_http import serve_client
from tests.fakes.apiserver_rules import Resource
from tests.fakes.apiserver_store import Object, Store, merged
from tests.fakes.apiserver_users import Right, User
from tests.fakes.pki import Authority, Pair

__all__ = ["ADMIN_TOKEN", "Cluster", "FakeApiServer", "Fault", "Right", "User"]

ADMIN_TOKEN = "fake-admin-token"


class Cluster:
    """One simulated cluster. `name` is its path prefix; the empty name is served at the root."""

    def __init__(self, server: FakeApiServer, name: str, *, velero: bool, snapshots: bool) -> None:
        self.server = server
        self.name = name
        self.store = Store()
        self.version = {"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "linux/amd64"}
        self.users: dict[str, User] = {ADMIN_TOKEN: User("admin", ("system:masters", "system:authenticated"))}
        self.certificate_users: dict[str, User] = {}
        self.resources = rules.all_resources()
        if not velero:
            self.remove_group(*rules.VELERO)
        if not snapshots:
            self.remove_group(*rules.SNAPSHOTS)
        for namespace in ("default", "kube-system", *(("velero",) if velero else ())):
            self.put("namespaces", {"metadata": {"name": namespace}})

    @property
    def url(self) -> str:
        return self.server.url + (f"/{self.name}" if self.name else "")

    @property
    def uid(self) -> str:
        """The uid of kube-system, by which the console recognises the cluster."""
        return str(self.object("namespaces", "kube-system")["metadata"]["uid"])

    def add_user(self, token: str, user: User) -> None:
        """Let `token` sign in."""
        self.users[token] = user

    def add_certificate_user(self, user: User) -> Pair:
        """A client certificate that signs in as `user`."""
        self.certificate_users[user.name] = user
        return self.server.client_authority.client(user.name, *user.groups)

    def remove_group(self, *groups: str) -> None:
        """Serve these API groups no more, as if their CRDs had been removed."""
        self.resources = {key: value for key, value in self.resources.items() if key[0] not in groups}

    def restore_groups(self) -> None:
        """Serve every API group again."""
        self.resources = rules.all_resources()

    def access(self, token: str = ADMIN_TOKEN, *, pair: Pair | None = None) -> ClusterAccess:
        """How to reach this cluster with a token, or with a client certificate instead."""
        return ClusterAccess(
            server=self.url,
            context=self.name or "fake",
            cluster=self.name or "fake",
            user="user",
            ca_data=self.server.authority.certificate,
            token="" if pair else token,
            client_certificate=pair.certificate if pair else None,
            client_key=pair.key if pair else None,
        )

    def kubeconfig(self, token: str = ADMIN_TOKEN) -> str:
        """The same as a person would paste it."""
        name = self.name or "fake"
        ca = base64.b64encode(self.server.authority.certificate).decode()
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": {"server": self.url, "certificate-authority-data": ca}}],
                "users": [{"name": "user", "user": {"token": token}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": "user"}}],
                "current-context": name,
            }
        )

    def resource(self, plural: str) -> Resource:
        """`backups` or `backups.velero.io`."""
        found = [kind for kind in rules.all_resources().values() if plural in (kind.plural, kind.qualified)]
        return found[0]

    def put(self, plural: str, body: Object) -> Object:
        """Store an object behind the API's back, unchecked; watches see it."""
        resource = self.resource(plural)
        namespace = str(body["metadata"].get("namespace", "")) if resource.namespaced else ""
        return self.store.put(resource, namespace, body).parsed()

    def patch(self, plural: str, name: str, patch: Object, *, namespace: str = "") -> Object:
        """Merge into an object unchecked, as Velero would write a status."""
        return self.put(plural, merged(self.object(plural, name, namespace=namespace), patch))

    def remove(self, plural: str, name: str, *, namespace: str = "") -> None:
        """Delete an object behind the API's back, finalizers or not."""
        body = self.object(plural, name, namespace=namespace)
        if body["metadata"].pop("finalizers", None):
            self.put(plural, body)
        self.store.delete(self.resource(plural), namespace, name)

    def object(self, plural: str, name: str, *, namespace: str = "") -> Object:
        """One object as it is now. Raises: `apiserver_rules.Refusal` when it is not there."""
        return self.store.get(self.resource(plural), namespace, name).parsed()

    def objects(self, plural: str, *, namespace: str = "") -> list[Object]:
        """All objects of a kind."""
        return [stored.parsed() for stored in self.store.all(self.resource(plural), namespace)]


class FakeApiServer:
    """The listener and its thread. A context manager; `url` is known after it has started."""

    def __init__(self, *, tls: bool = True, bookmark_seconds: float = 60.0, kept_requests: int = 2000) -> None:
        self.authority = Authority("fake-api-ca")
        self.client_authority = Authority("fake-client-ca")
        self.faults = Faults()
        self.requests: deque[Request] = deque(maxlen=kept_requests)
        self.clusters: dict[str, Cluster] = {}
        self.bookmark_seconds = bookmark_seconds
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-apiserver", daemon=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._thread.start()
        self._started.wait(10)
        return self

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(10)

    def add_cluster(self, name: str = "", *, velero: bool = True, snapshots: bool = True) -> Cluster:
        """A new cluster with its own objects, users and uid; without Velero its CRDs are not served."""
        cluster = self.clusters[name] = Cluster(self, name, velero=velero, snapshots=snapshots)
        return cluster

    def drop_connections(self) -> None:
        """Reset all open connections, as a restart of a load balancer does."""

        async def drop() -> None:
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)  # transports close their sockets one turn of the loop later

        asyncio.run_coroutine_threadsafe(drop(), self.loop).result(5)

    def add_faults(self, *faults: Fault) -> None:
        """Put faults in force."""
        for fault in faults:
            self.faults.add(fault)

    def requests_to(self, cluster: str, methods: Iterable[str] = ("GET", "POST", "PATCH", "DELETE")) -> list[Request]:
        """The latest requests a cluster received."""
        wanted = set(methods)
        return [request for request in self.requests if request.cluster == cluster and request.method in wanted]

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        listener = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context(), backlog=1024, limit=2**20)
        )
        self.port = listener.sockets[0].getsockname()[1]
        self._started.set()
        try:
            self.loop.run_forever()
        finally:
            listener.close()
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await serve_client(self, reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    def _context(self) -> ssl.SSLContext | None:
        if not self._tls:
            return None
        pair = self.authority.server()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        descriptor = os.memfd_create("server")
        with os.fdopen(descriptor, "wb") as memory:
            memory.write(pair.certificate + pair.key)
            memory.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.client_authority.certificate.decode())
        return context

    def user_of(self, cluster: Cluster, token: str | None, certificate: dict[str, Any] | None) -> User:
        """Raises: Refusal (401). Without credentials: anonymous, who may do nothing."""
        if token is not None:
            if token not in cluster.users:
                raise rules.Refusal(401, "Unauthorized", "Unauthorized")
            return cluster.users[token]
        subject = {key: value for part in (certificate or {}).get("subject", ()) for key, value in part}
        if subject.get("commonName") in cluster.certificate_users:
            return cluster.certificate_users[subject["commonName"]]
        return User("system:anonymous", ("system:unauthenticated",), lambda right: False)
