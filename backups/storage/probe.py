"""Trying a location step by step, as a person watches: what works, what does not, why, and what to do next.

A step that fails ends the run, but for one case: keys that may not list are tried for writing all the same, so that
every missing right is named in one go. The probe object lies below the location's base prefix and never below a
cluster's leaf prefix, where Velero would call its folder foreign and go Unavailable.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from backups.storage.layout import PROBE
from backups.storage.sentences import sentences
from backups.storage.settings import describe
from backups.storage.store import BucketSettings, Listing, Store, opened, outside
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError

Outcome = Literal["pass", "fail", "skipped", "warning", "not_checkable"]

TITLES = {
    "endpoint": "Reach the endpoint",
    "tls": "Secure connection (TLS)",
    "sign_in": "Sign in",
    "bucket": "The bucket exists",
    "region": "The region is right",
    "list": "List objects",
    "write": "Write an object",
    "read": "Read it back",
    "delete": "Delete it",
    "settings": "Versions, locks and encryption",
}
READING_TITLES = {id: title for id, title in TITLES.items() if id not in ("write", "delete")} | {
    "read": "Read an object"
}
ASSUME = "Sign in: assume the role"
_NOT_TRIED = "Not tried, because of what went wrong before."
_TLS_KINDS = frozenset(kind for kind in Kind if kind.startswith("tls_")) | {Kind.PLAIN_PORT}
_ELSEWHERE = "Only a cluster can try this: the role is assumed with the cluster's own AWS identity."
_FROM_A_CLUSTER = "A cluster's own Velero says this."
_INSIDE = (".svc", ".svc.cluster.local")
_SIGN_IN_KINDS = frozenset({Kind.KEY_UNKNOWN, Kind.SECRET_WRONG, Kind.TOKEN_EXPIRED, Kind.CLOCK})
_BUCKET_KINDS = frozenset(
    {
        Kind.NO_BUCKET,
        Kind.PATH_STYLE,
        Kind.NAME_UNKNOWN,
        Kind.TLS_OTHER_NAME,
        Kind.NOT_S3,
        Kind.NOT_GCS,
        Kind.REDIRECTED,
    }
)


@dataclass(frozen=True)
class ProbeStep:
    """One line of the result. `cause` and `remedy` are for a person; empty for a plain pass."""

    id: str
    title: str
    outcome: Outcome
    cause: str = ""
    remedy: str = ""


def probe(
    target: StorageTarget, policy: AddressPolicy, *, thoroughly: bool = True, write: bool = True
) -> Iterator[ProbeStep]:
    """Yields each step as soon as it is known, all of `titles(write)` in the end. Never raises.

    `thoroughly`: also look whether a role is to be had without the External ID; that leaves a denial in its log.
    `write`: without it nothing is written, and any object that is there already is read.
    Closing the iterator early removes the probe object.
    """
    seen: set[str] = set()
    rest: Outcome = "skipped"
    try:
        with outside(target, policy) if not target.is_checkable else opened(target, policy, attempts=1) as store:
            for step in _Probe(store, target, thoroughly, write).run():
                seen.add(step.id)
                rest = "not_checkable" if step.outcome == "not_checkable" else rest
                yield step
    except ConsoleError as error:
        step = _step("endpoint", "fail", error.message, error.remedy)
        seen.add(step.id)
        yield step
    why = _NOT_TRIED if rest == "skipped" else _FROM_A_CLUSTER
    yield from (_step(id, rest, why, title=title) for id, title in titles(write=write).items() if id not in seen)


def titles(*, write: bool) -> dict[str, str]:
    """The steps that there are, in order."""
    return TITLES if write else READING_TITLES


def _step(id: str, outcome: Outcome = "pass", cause: str = "", remedy: str = "", title: str = "") -> ProbeStep:
    return ProbeStep(id, title or TITLES[id], outcome, cause, remedy)


class _Probe:
    def __init__(self, store: Store, target: StorageTarget, thoroughly: bool, write: bool) -> None:
        self._store = store
        self._target = target
        self._thoroughly = thoroughly
        self._write = write

    def run(self) -> Iterator[ProbeStep]:
        """Steps until one fails; the caller adds what was not tried."""
        trouble = self._trouble(self._store.reach)
        yield from self._connection(trouble)
        if trouble is not None:
            return
        if not self._target.is_checkable:
            yield _step("sign_in", "not_checkable", _ELSEWHERE, "Ask a cluster's Velero instead.", title=ASSUME)
            return
        signed = self._signed_in()
        if signed.outcome == "fail":
            yield signed
            return
        yield from self._inside(signed)

    def _signed_in(self) -> ProbeStep:
        """With plain keys nothing happens yet: whether they are good shows at the listing."""
        title = ASSUME if self._target.role_arn else ""
        try:
            caution = self._store.sign_in(thoroughly=self._thoroughly)
        except StoreError as error:
            return replace(self._failed("sign_in", error.trouble), title=title or TITLES["sign_in"])
        if caution is None:
            return _step("sign_in", title=title)
        return _step("sign_in", "warning", *sentences(caution, self._target), title=title)

    def _inside(self, signed: ProbeStep) -> Iterator[ProbeStep]:
        try:
            listing: Listing | Trouble = self._store.list(self._target.folder, limit=1)
        except StoreError as error:
            listing = error.trouble
        settings = self._settings() if isinstance(listing, Listing) else None
        yield from self._bucket(listing, signed, settings)
        if not self._write:
            if isinstance(listing, Listing):
                yield replace(self._read_any(listing), title=READING_TITLES["read"])
                yield _step("settings", *describe(settings, self._target.provider))
        elif isinstance(listing, Listing) or listing.kind is Kind.DENIED:
            yield from self._round_trip()
            yield _step("settings", *describe(settings, self._target.provider))

    def _read_any(self, listing: Listing) -> ProbeStep:
        if not listing.keys:
            return _step("read", "skipped", "There is nothing here to read.", "Is this the right bucket and prefix?")
        return self._result("read", self._trouble(lambda: self._read_a_byte(listing.keys[0])))

    def _read_a_byte(self, key: str) -> None:
        body = self._store.get(key)
        try:
            body.read(1)
        finally:
            body.close()

    def _settings(self) -> BucketSettings | None:
        """None when the keys may not look, or the store does not know the question."""
        try:
            return self._store.settings()
        except StoreError:
            return None

    def _connection(self, trouble: Trouble | None) -> Iterator[ProbeStep]:
        if trouble is not None and trouble.kind not in _TLS_KINDS:
            yield self._unreached(trouble)
            return
        yield _step("endpoint")
        if trouble is not None:
            yield self._failed("tls", trouble)
        elif (self._target.s3_url or self._target.gcs_url).startswith("http://"):
            yield _step(
                "tls",
                "warning",
                "The address says http, so keys and backups can be read on the way.",
                "Use https unless the network is your own.",
            )
        else:
            yield _step("tls")

    def _unreached(self, trouble: Trouble) -> ProbeStep:
        """A name that only a cluster's own DNS knows is no fault of the location."""
        name = (urlsplit(self._target.s3_url).hostname or "").rstrip(".")
        if trouble.kind is Kind.NAME_UNKNOWN and name.endswith(_INSIDE):
            cause = f"The name {name} is known inside a cluster only, so the console cannot reach it."
            return _step("endpoint", "not_checkable", cause, "Ask the Velero of that cluster instead.")
        return self._failed("endpoint", trouble)

    def _bucket(
        self, listing: Listing | Trouble, signed: ProbeStep, settings: BucketSettings | None
    ) -> Iterator[ProbeStep]:
        """What one listing says about keys, bucket, region and rights: S3 checks them in this order."""
        if isinstance(listing, Listing):
            region = listing.region or (settings.region if settings else "")
            yield from (signed, _step("bucket"), self._region(region), _step("list"))
        elif listing.kind in _SIGN_IN_KINDS:
            yield self._failed("sign_in", listing)
        elif listing.kind is Kind.REGION:
            # Stores look at the region before they look at the keys.
            yield _step("sign_in", "skipped", "This shows only when the region is right.")
            yield from (_step("bucket"), self._failed("region", listing))
        elif listing.kind in _BUCKET_KINDS:
            yield from (signed, self._failed("bucket", self._by_host_name(listing)))
        elif listing.kind is Kind.DENIED:
            unknown = "This shows only when listing is allowed."
            yield from (signed, _step("bucket", "skipped", unknown), _step("region", "skipped", unknown))
            yield self._failed("list", listing)
        else:
            yield self._failed("sign_in", listing)

    def _by_host_name(self, trouble: Trouble) -> Trouble:
        """The endpoint was reached, so a name or certificate that fails now is the bucket's own host name."""
        named = trouble.kind in (Kind.NAME_UNKNOWN, Kind.TLS_OTHER_NAME)
        return Trouble(Kind.PATH_STYLE) if named and not self._target.path_style else trouble

    def _region(self, said: str) -> ProbeStep:
        if self._target.provider == "gcp":
            return _step("region", cause=f"The bucket is in {said}." if said else "Google Cloud needs none.")
        if said and said != self._target.region:
            return self._failed("region", Trouble(Kind.REGION, region=said))
        return _step("region", cause="" if said else "The store does not say its region.")

    def _round_trip(self) -> Iterator[ProbeStep]:
        """Write, read back, delete; whatever happens, the object goes."""
        key, body = f"{self._target.folder}{PROBE}/{secrets.token_hex(16)}", secrets.token_bytes(64)
        written = False
        try:
            trouble = self._trouble(lambda: self._store.put(key, body))
            written = trouble is None or trouble.kind in (Kind.NO_ANSWER, Kind.CLOSED)
            yield self._result("write", trouble)
            if trouble is not None:
                return
            yield self._read_back(key, body)
            trouble = self._trouble(lambda: self._store.delete(key))
            written = trouble is not None
            left = f" The object {key} is left in the bucket." if trouble else ""
            step = self._result("delete", trouble, left)
            yield replace(step, outcome="warning") if trouble and trouble.kind is Kind.LOCKED else step
        finally:
            if written:
                with contextlib.suppress(StoreError):
                    self._store.delete(key)

    def _read_back(self, key: str, body: bytes) -> ProbeStep:
        try:
            found = self._store.get(key)
            try:
                same = found.read(len(body) + 1) == body
            finally:
                found.close()
        except StoreError as error:
            return self._failed("read", error.trouble)
        if same:
            return _step("read")
        return _step("read", "fail", "What was read is not what was written.", "Look for a cache before the store.")

    def _trouble(self, call: Callable[[], None]) -> Trouble | None:
        try:
            call()
        except StoreError as error:
            return error.trouble
        return None

    def _result(self, id: str, trouble: Trouble | None, addition: str = "") -> ProbeStep:
        return _step(id) if trouble is None else self._failed(id, trouble, addition)

    def _failed(self, id: str, trouble: Trouble, addition: str = "") -> ProbeStep:
        cause, remedy = sentences(trouble, self._target)
        return _step(id, "fail", cause + addition, remedy)
