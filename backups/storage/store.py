"""What every kind of object store can do for us. Implemented by `s3.py` (and later `gcs.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from backups.storage.target import StorageTarget, check
from backups.storage.trouble import StoreError, console_error
from console.lib.addresses import AddressPolicy
from console.lib.errors import BadInput

READ_ATTEMPTS = 2


@dataclass(frozen=True)
class Listing:
    """One page. `folders` end with a slash; `size` is that of all `keys` together, in bytes.

    `region` is the bucket's as the store says it, empty when it does not.
    """

    keys: tuple[str, ...]
    folders: tuple[str, ...]
    size: int = 0
    region: str = ""
    more: bool = False


class Body(Protocol):
    """An object's bytes; `read` gives at most `amount`, nothing at the end."""

    size: int | None

    def read(self, amount: int) -> bytes: ...

    def close(self) -> None: ...


class Store(Protocol):
    """All raise only `StoreError`. `list` gives at most `limit` (≤ 1,000) keys and folders."""

    def reach(self) -> None:
        """Connect, and speak TLS where the URL says so, without signing in."""

    def list(self, prefix: str, *, folders: bool = False, limit: int = 1000, after: str = "") -> Listing: ...

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
    check(target)
    if target.provider != "aws":
        raise BadInput(f"The provider {target.provider} cannot be reached from here.", field="provider")
    from backups.storage.s3 import S3Store

    try:
        store = S3Store(target, policy, attempts=attempts)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        raise console_error(error.trouble, target) from error
