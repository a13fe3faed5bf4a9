"""The one-line Configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.configuration import Configuration, one_line, parse
from console.lib.errors import BadInput

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.:/", max_size=40)


@given(WORDS, st.booleans(), WORDS)
def test_what_is_written_is_read_back(region: str, path_style: bool, s3_url: str) -> None:
    line = one_line(region=region, path_style=path_style, s3_url=s3_url)
    assert parse(line) == Configuration(region=region, path_style=path_style, s3_url=s3_url)


def test_what_is_not_named_is_not_said() -> None:
    assert parse("region=eu-central-1").said() == {"region": "eu-central-1"}
    assert parse("") == Configuration()
    assert parse("s3Url=").said() == {"s3_url": ""}


def test_blanks_case_and_a_last_comma_do_not_matter() -> None:
    said = parse(" Region = us-east-1 , S3FORCEPATHSTYLE = True , s3url = https://minio.example.com:9000/?a=b ,").said()
    assert said == {"region": "us-east-1", "path_style": True, "s3_url": "https://minio.example.com:9000/?a=b"}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("regoin=eu", "regoin"),
        ("region", "“region”"),
        ("region=a,region=b", "twice"),
        ("s3ForcePathStyle=yes", "true or false"),
        ("s3ForcePathStyle=", "true or false"),
        ("https://minio.example.com", "https://minio.example.com"),
        ("=x", "“=x”"),
    ],
)
def test_what_cannot_be_read_is_named(line: str, named: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(line)
    assert refused.value.field == "configuration"
    assert named in refused.value.message
