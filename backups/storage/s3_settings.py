"""What a bucket does with objects by itself, asked of S3. Backups need none of it, so a refusal is no fault.

Stores other than AWS know some of these questions, none, or answer them with codes of their own.
"""

from __future__ import annotations

from typing import Any

from backups.storage.aws import troubles
from backups.storage.store import BucketSettings
from backups.storage.trouble import StoreError

_DAYS = {"Days": 1, "Years": 365}
_NONE_SET = ("ObjectLockConfigurationNotFoundError", "ServerSideEncryptionConfigurationNotFoundError")


def read_settings(client: Any, bucket: str) -> BucketSettings:
    """Versioning, lock and encryption. Raises: StoreError when none of them can be read."""
    answers, refusals = {}, []
    for question in ("get_bucket_versioning", "get_object_lock_configuration", "get_bucket_encryption"):
        try:
            answers[question] = _asked(client, question, bucket)
        except StoreError as error:
            refusals.append(error)
    if not answers:
        raise refusals[0]
    return BucketSettings(
        versioning=_versioning(answers.get("get_bucket_versioning")),
        **_lock(answers.get("get_object_lock_configuration")),
        encryption=_encryption(answers.get("get_bucket_encryption")),
    )


def _asked(client: Any, question: str, bucket: str) -> dict[str, Any]:
    """The answer; empty when nothing is set. Raises: StoreError."""
    try:
        with troubles():
            return dict(getattr(client, question)(Bucket=bucket))
    except StoreError as error:
        if error.trouble.detail.startswith(_NONE_SET):
            return {}
        raise


def _versioning(answer: dict[str, Any] | None) -> bool | None:
    return None if answer is None else answer.get("Status") == "Enabled"


def _lock(answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        return {"locks": None}
    found = answer.get("ObjectLockConfiguration") or {}
    kept = (found.get("Rule") or {}).get("DefaultRetention") or {}
    days = sum(int(kept.get(unit) or 0) * length for unit, length in _DAYS.items())
    return {
        "locks": found.get("ObjectLockEnabled") == "Enabled",
        "locked_days": float(days),
        "lock_mode": str(kept.get("Mode") or ""),
    }


def _encryption(answer: dict[str, Any] | None) -> str | None:
    if answer is None:
        return None
    rules = (answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
    if str(default.get("SSEAlgorithm", "")).startswith("aws:kms"):
        return str(default.get("KMSMasterKeyID") or "aws/s3")
    return ""
