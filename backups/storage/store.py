"""What every kind of object store can do for us. Implemented by `s3.py` and `gcs.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol

from backups.storage.sentences import console_error
from backups.storage.target import StorageTarget, check
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy

READ_ATTEMPTS = 2
KEPT_FOR = 60.0  # seconds
MOST_KEPT = 8


@dataclass(frozen=True)
class Listing:
    """One page. `folders` end with a slash; `sizes` are those of `keys`, in bytes.

    `region` is the bucket's as the store says it, empty when it does not. `token` is the store's own word for the page
    behind this one, empty at the end: folders are not in the order of their names in every store.
    """

    keys: tuple[str, ...]
    folders: tuple[str, ...]
    sizes: tuple[int, ...] = ()
    region: str = ""
    more: bool = False
    token: str = ""

    @property
    def size(self) -> int:
        """Bytes of all objects on the page."""
        return sum(self.sizes)


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """What a bucket does with objects by itself. None: the store did not say.

    `locked_days`: how long each new object can be neither changed nor deleted; `encryption`: the name of the key that
    the owner of the bucket has chosen, empty for the store's own way; `region`: where the bucket is, as the store says.
    """

    versioning: bool | None = None
    locks: bool | None = None
    locked_days: float = 0.0
    lock_mode: str = ""
    held: bool = False  # every new object is held until somebody lets it go
    kept_days: float = 0.0  # how long what was deleted can be brought back, and is paid for
    encryption: str | None = None
    region: str = ""


class Body(Protocol):
    """An object's bytes; `read` gives at most `amount`, nothing at the end."""

    size: int | None

    def read(self, amount: int) -> bytes: ...

    def close(self) -> None: ...


class Store(Protocol):
    """All raise only `StoreError`. `list` gives at most `limit` (≤ 1,000) keys and folders."""

    def reach(self) -> None:
        """Connect, and speak TLS where the URL says so, without signing in."""

    def sign_in(self, *, thoroughly: bool = False) -> Trouble | None:
        """Turn long-lived credentials into a session, where the kind of sign-in does that.

        Something that works and should not be so comes back; it is looked for only `thoroughly`.
        """

    def settings(self) -> BucketSettings:
        """Raises also where the keys may not look: they need not."""

    def list(
        self, prefix: str, *, folders: bool = False, limit: int = 1000, after: str = "", token: str = ""
    ) -> Listing: ...

    def put(self, key: str, body: bytes) -> None: ...

    def get(self, key: str) -> Body: ...

    def delete(self, key: str) -> None: ...

    def close(self) -> None: ...


@contextmanager
def opened(target: StorageTarget, policy: AddressPolicy, *, attempts: int = READ_ATTEMPTS) -> Iterator[Store]:
    """A store for `target`; what goes wrong inside leaves as one of our errors.

    The SDK is imported here, so that processes which never read a bucket do not carry it.

    Raises: BadInput for a target that cannot be right; anything in `trouble.py`.
    """
    with told(target):
        store = _made(target, policy, attempts)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def kept(target: StorageTarget, policy: AddressPolicy) -> Iterator[Store]:
    """As `opened`; one that was good within the last minute is taken again, its connections with it.

    For reading alone: whoever tries a location wants to see it connect.
    """
    with told(target):
        store = _Kept.take(target, policy) or _made(target, policy, READ_ATTEMPTS)
        try:
            yield store
        except BaseException:
            store.close()
            raise
        _Kept.put(target, policy, store)


def _made(target: StorageTarget, policy: AddressPolicy, attempts: int) -> Store:
    check(target, loopback=policy.allow_loopback)
    if not target.is_checkable:
        raise StoreError(Trouble(Kind.NOT_FROM_HERE))
    return _of_provider(target, policy, attempts)


def _of_provider(target: StorageTarget, policy: AddressPolicy, attempts: int) -> Store:
    if target.provider == "gcp":
        from backups.storage.gcs import GcsStore

        return GcsStore(target, policy, attempts=attempts)
    from backups.storage.s3 import S3Store

    return S3Store(target, policy, attempts=attempts)


@contextmanager
def outside(target: StorageTarget, policy: AddressPolicy) -> Iterator[Store]:
    """As `opened`, to `reach` alone: also for a target that only a cluster can sign in to."""
    with told(target):
        check(target, loopback=policy.allow_loopback)
        store = _of_provider(target, policy, 1)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def told(target: StorageTarget) -> Iterator[None]:
    """What goes wrong inside leaves as one of our errors."""
    try:
        yield
    except StoreError as error:
        raise console_error(error.trouble, target) from error


class _Kept:
    """Stores that nobody uses at the moment, for a while. Whoever takes one has it alone."""

    idle: ClassVar[dict[tuple[StorageTarget, AddressPolicy], tuple[float, Store]]] = {}
    lock = threading.Lock()

    @classmethod
    def take(cls, target: StorageTarget, policy: AddressPolicy) -> Store | None:
        """None when there is none, or it has lain too long."""
        with cls.lock:
            since, store = cls.idle.pop((target, policy), (0.0, None))
        if store and time.monotonic() - since > KEPT_FOR:
            store.close()
            return None
        return store

    @classmethod
    def put(cls, target: StorageTarget, policy: AddressPolicy, store: Store) -> None:
        """The oldest goes when there are too many."""
        with cls.lock:
            before = cls.idle.pop((target, policy), None)
            oldest = cls.idle.pop(next(iter(cls.idle))) if len(cls.idle) >= MOST_KEPT else None
            cls.idle[target, policy] = (time.monotonic(), store)
        for _, other in filter(None, (before, oldest)):
            other.close()
