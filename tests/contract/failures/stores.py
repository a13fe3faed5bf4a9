"""S3 stores: keys, the bucket, rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

from backups.storage import StorageTarget
from tests.contract.failures.case import UNSENT, Case, at, group
from tests.contract.failures.ground import Ground
from tests.contract.realstore import BUCKET, EDITOR, NO_LIST, READ_ONLY, client
from tests.unit.backups.storage.answers import error, served

# Keys


def keys() -> list[Case]:
    weed = "SeaweedFS"
    return group(
        "keys",
        ("unknown access key", "real", weed, "sign_in", "does not know", at(lambda g: g.s3(access_key="AKIANOBODY"))),
        ("wrong secret key", "real", weed, "sign_in", "does not belong", at(lambda g: g.s3(secret_key="wrong"))),
        ("skewed clock", "real", f"{weed}, the console three hours ahead", "sign_in", "clocks", _skewed),
        ("key with a line break", "real", UNSENT, "endpoint", "key is missing", at(lambda g: g.s3(secret_key="a\nb"))),
    )


@contextmanager
def _skewed(ground: Ground) -> Iterator[StorageTarget]:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3)):
        yield ground.s3()


# The bucket


def bucket() -> list[Case]:
    return group(
        "bucket",
        (
            "missing bucket",
            "real",
            "SeaweedFS",
            "bucket",
            "There is no bucket",
            at(lambda g: g.s3(bucket="no-such-bucket")),
        ),
        ("bucket in another region", "fake", "a redirect as AWS sends it", "region", "not in the region", _elsewhere),
        ("path style needed", "real", "SeaweedFS without host names", "bucket", "by its host name", _path_style),
        (
            "name that is no bucket's",
            "real",
            UNSENT,
            "endpoint",
            "name of a bucket",
            at(lambda g: g.s3(bucket="s3://shop")),
        ),
    )


@contextmanager
def _elsewhere(ground: Ground) -> Iterator[StorageTarget]:
    moved = error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3")
    with served(lambda method, path: moved) as (url, _):
        yield ground.s3(s3_url=url)


@at
def _path_style(ground: Ground) -> StorageTarget:
    return ground.s3(s3_url=ground.store.url.replace("127.0.0.1", "localhost"), path_style=False)


# Rights


def rights() -> list[Case]:
    weed = "SeaweedFS"
    return group(
        "rights",
        ("may not list", "real", weed, "list", "s3:ListBucket", at(lambda g: g.s3(**NO_LIST))),
        ("may not write", "real", weed, "write", "s3:PutObject", at(lambda g: g.s3(**READ_ONLY))),
        ("may not delete", "real", f"{weed}, a bucket policy", "delete", "s3:DeleteObject", _no_delete),
        ("keys without any right", "emulated", "the gate in front of it", "list", "s3:ListBucket", _no_right),
    )


@contextmanager
def _no_delete(ground: Ground) -> Iterator[StorageTarget]:
    arn = f"arn:aws:s3:::{BUCKET}/*"
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": arn}
    sdk = client(ground.store.url)
    sdk.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [denial]}))
    try:
        yield ground.s3(**EDITOR)
    finally:
        sdk.delete_bucket_policy(Bucket=BUCKET)


@at
def _no_right(ground: Ground) -> StorageTarget:
    return ground.role(sign_in="keys", role_arn="", external_id="")
