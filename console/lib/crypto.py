"""Credentials at rest: AES-256-GCM under a key ring, bound to their place. Only door to `cryptography`'s ciphers.

A sealed value reads `v1.<key id>.<base64 of nonce and ciphertext>`. The table, row and field it belongs to are
authenticated with it, so that a ciphertext copied into another row or column does not open. The ring
(`CONSOLE_KEYS`, newest first) seals with its first key and opens with any.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

from console.lib.errors import ConsoleError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    AnyTextField = models.TextField[Any, Any]
else:
    AnyTextField = models.TextField

VERSION = "v1"
NONCE_BYTES = 12


class CannotOpen(ConsoleError):
    """The value was sealed with a key that is not in the ring, for another place, or it was altered."""


class KeyRing:
    """Seals with the newest key, opens with any. `keys` are 32 bytes each, base64, newest first.

    Raises ValueError for a key that is not 32 bytes of base64.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        raw = [_decode_key(key) for key in keys]
        if not raw:
            raise ValueError("The key ring is empty.")
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: AESGCM(key) for key in raw}
        self.newest = next(iter(self._keys))

    def seal(self, plain: bytes, place: str) -> str:
        """`plain` encrypted for `place`, which must be the same at opening."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self.newest].encrypt(nonce, plain, place.encode())
        return f"{VERSION}.{self.newest}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: str) -> bytes:
        """The plain bytes. Raises CannotOpen."""
        try:
            version, key_id, body = sealed.split(".", 2)
            raw = base64.b64decode(body, validate=True)
            if version != VERSION:
                raise ValueError(version)
            return self._keys[key_id].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode())
        except (ValueError, KeyError, InvalidTag, binascii.Error) as error:
            raise CannotOpen(
                "A stored credential cannot be decrypted with the console's keys.",
                remedy="Restore CONSOLE_KEYS from your backup, or enter the credential again.",
            ) from error

    def is_current(self, sealed: str) -> bool:
        """Whether the value was sealed with the newest key."""
        return sealed.split(".", 2)[1:2] == [self.newest]


def _decode_key(key: str) -> bytes:
    raw = base64.b64decode(key, validate=True)
    if len(raw) != 32:
        raise ValueError("Each key in CONSOLE_KEYS must be 32 bytes, base64.")
    return raw


def key_ring() -> KeyRing:
    """The console's ring, from settings."""
    return KeyRing(settings.CONSOLE_KEYS)


class Sealed(str):
    """A value as it lies in the database, not opened yet."""

    __slots__ = ()


class _OpenOnAccess:
    """Keeps `Sealed` until the attribute is read, so that a list of rows decrypts nothing."""

    def __init__(self, field: EncryptedJSONField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:
            instance.refresh_from_db(fields=[self.field.attname])  # the column was deferred
        value = instance.__dict__[self.field.attname]
        if isinstance(value, Sealed):
            value = json.loads(key_ring().open(value, self.field.place(instance)))
            instance.__dict__[self.field.attname] = value
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class EncryptedJSONField(AnyTextField):
    """Any JSON value, sealed for its table, row and field. The row's primary key must be set before it is saved.

    It is written by `save()` only: `QuerySet.update()` has no row to bind to and is refused.
    """

    _pyi_private_set_type: Any  # for the type checker: any JSON goes in and comes out
    _pyi_private_get_type: Any

    description = "JSON, encrypted under the console's key ring"

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, self.attname, _OpenOnAccess(self))

    def place(self, instance: models.Model) -> str:
        """What a ciphertext of this field is bound to."""
        return f"{instance._meta.db_table}:{instance.pk}:{self.name}"

    def from_db_value(self, value: str | None, _expression: object, _connection: BaseDatabaseWrapper) -> Sealed | None:
        return None if value is None else Sealed(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = model_instance.__dict__.get(self.attname)
        if value is None or isinstance(value, Sealed):
            return value
        if model_instance.pk is None:
            raise TypeError("An encrypted field needs its row's primary key before it is saved.")
        return Sealed(key_ring().seal(json.dumps(value).encode(), self.place(model_instance)))

    def to_python(self, value: Any) -> Any:
        """Validation leaves the value as it is: any JSON will do."""
        return value

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, Sealed):
            return value
        raise TypeError(f"{self.name} is encrypted: change it through save(), not update() or a filter.")

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError(f"{self.name} is encrypted and is not serialized.")
