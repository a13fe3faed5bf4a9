"""The stand-ins for the clouds, held against the SDKs that they are made for."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.utils import InstanceMetadataFetcher

from sandbox.clouds import stack
from sandbox.clouds.accounts import Accounts, Identity, Role
from sandbox.clouds.gate import Gate
from sandbox.clouds.google import Google, ServiceAccount, new_key
from sandbox.clouds.metadata import Metadata
from sandbox.clouds.sts import Sts
from sandbox.clouds.web import Reply, Request, served
from tests.fakes.s3 import FakeS3

EXTERNAL_ID = "drydock-7f3a"
KEYS = {"access_key": "AKIACLOUD", "secret_key": "cloud-secret"}
BEHIND = ("AKIABEHIND", "behind-secret")
BRIEF = stack.role_arn("brief")


@pytest.fixture
def accounts() -> Accounts:
    users = {"AKIACLOUD": Identity(stack.USER, "cloud-secret"), "AKIASTRANGER": Identity(stack.STRANGER, "s")}
    brief = Role(BRIEF, (stack.USER,), EXTERNAL_ID, lasts=2)
    return Accounts(users, [*stack.roles(EXTERNAL_ID), brief])


@pytest.fixture
def sts(accounts: Accounts) -> Iterator[str]:
    with served(Sts(accounts)) as url:
        yield url


@pytest.fixture
def gate(accounts: Accounts) -> Iterator[str]:
    """In front of moto, with a bucket."""
    with FakeS3() as behind, served(Gate(accounts, behind.url, BEHIND)) as url:
        sdk("s3", behind.url, *BEHIND).create_bucket(Bucket="bucket")
        yield url


def sdk(service: str, url: str, access_key: str, secret_key: str, token: str | None = None) -> Any:
    once = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        parameter_validation=False,
        signature_version="s3v4" if service == "s3" else None,
    )
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key, "aws_session_token": token}
    return Session().create_client(service, endpoint_url=url, region_name="us-east-1", config=once, **keys)


def assumed(url: str, role: str = stack.VELERO, **changes: Any) -> dict[str, Any]:
    """Keys of a session."""
    caller = changes.pop("caller", ("AKIACLOUD", "cloud-secret"))
    wanted = {"RoleArn": role, "RoleSessionName": "t", "ExternalId": EXTERNAL_ID, "DurationSeconds": 3600}
    given: dict[str, Any] = sdk("sts", url, *caller).assume_role(**wanted | changes)["Credentials"]
    return given


def store(url: str, session: dict[str, Any], **changes: Any) -> Any:
    wanted = {name: session[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")} | changes
    return sdk("s3", url, *wanted.values())


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"role": stack.role_arn("nobody")}, "AccessDenied"),
    ({"role": stack.ELSEWHERE}, "AccessDenied"),
    ({"ExternalId": "another"}, "AccessDenied"),
    ({"caller": ("AKIASTRANGER", "s")}, "AccessDenied"),
    ({"caller": ("AKIANOBODY", "s")}, "InvalidClientTokenId"),
    ({"caller": ("AKIACLOUD", "wrong")}, "SignatureDoesNotMatch"),
    ({"role": stack.SHORT}, "ValidationError"),
    ({"DurationSeconds": 12 * 3600 + 1}, "ValidationError"),
    ({"DurationSeconds": 60}, "ValidationError"),
    ({"role": stack.NODE}, "AccessDenied"),
]


@pytest.mark.parametrize(("changes", "why"), REFUSALS)
def test_roles_are_refused(sts: str, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError) as error:
        assumed(sts, **changes)
    assert code(error) == why


def test_aws_does_not_say_whether_a_role_is_there(sts: str) -> None:
    said = set()
    for role in (stack.role_arn("nobody"), stack.ELSEWHERE):
        with pytest.raises(ClientError) as error:
            assumed(sts, role)
        said.add(str(error.value).replace(role, "ROLE"))
    assert len(said) == 1


def test_a_session_opens_the_bucket_and_nothing_else_does(sts: str, gate: str) -> None:
    session = assumed(sts)
    client = store(gate, session)
    key = "a folder/ümlaut+plus%.txt"
    client.put_object(Bucket="bucket", Key=key, Body=b"content")
    assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == b"content"
    assert [one["Key"] for one in client.list_objects_v2(Bucket="bucket", Prefix="a folder/")["Contents"]] == [key]
    assert client.head_object(Bucket="bucket", Key=key)["ContentLength"] == 7
    address = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": key}, ExpiresIn=60)
    with urllib.request.urlopen(address, timeout=5) as answer:
        assert answer.read() == b"content"
    for changes, why in (
        ({"AccessKeyId": "ASIANOBODY"}, "InvalidAccessKeyId"),
        ({"SecretAccessKey": "wrong"}, "SignatureDoesNotMatch"),
        ({"SessionToken": "another"}, "InvalidToken"),
        ({"AccessKeyId": "AKIACLOUD", "SecretAccessKey": "cloud-secret", "SessionToken": None}, "AccessDenied"),
    ):
        with pytest.raises(ClientError) as error:
            store(gate, session, **changes).list_objects_v2(Bucket="bucket")
        assert code(error) == why


def test_a_session_ends(sts: str, gate: str) -> None:
    client = store(gate, assumed(sts, BRIEF))
    client.list_objects_v2(Bucket="bucket")
    time.sleep(2.1)
    with pytest.raises(ClientError) as error:
        client.list_objects_v2(Bucket="bucket")
    assert code(error) == "ExpiredToken"


def test_a_presigned_address_cannot_be_changed(sts: str, gate: str) -> None:
    client = store(gate, assumed(sts))
    client.put_object(Bucket="bucket", Key="k", Body=b"x")
    address = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    urllib.request.urlopen(address, timeout=5).close()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.replace("/bucket/k?", "/bucket/other?"), timeout=5)


def test_the_sdk_takes_a_nodes_identity_and_assumes_the_role_with_it(accounts: Accounts, sts: str) -> None:
    role = accounts.role(stack.NODE)
    assert role
    with served(Metadata(accounts, role)) as url:
        found = InstanceMetadataFetcher(base_url=url, num_attempts=1).retrieve_iam_role_credentials()
    assert found["role_name"] == "node"
    node = sdk("sts", sts, found["access_key"], found["secret_key"], found["token"])
    wanted = {"RoleArn": stack.VELERO, "RoleSessionName": "t", "ExternalId": EXTERNAL_ID}
    assert node.assume_role(**wanted)["Credentials"]["AccessKeyId"].startswith("ASIA")


def test_metadata_wants_a_token_of_its_own(accounts: Accounts) -> None:
    role = accounts.role(stack.NODE)
    assert role
    metadata, path = Metadata(accounts, role), "/latest/meta-data/iam/security-credentials/"
    assert metadata(Request("GET", path, {})).status == 401
    lifetime = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
    assert metadata(Request("GET", "/latest/api/token", lifetime)).status == 400
    assert metadata(Request("PUT", "/latest/api/token", lifetime | {"x-forwarded-for": "10.0.0.1"})).status == 403
    token = metadata(Request("PUT", "/latest/api/token", lifetime)).body.decode()
    assert metadata(Request("GET", path, {"x-aws-ec2-metadata-token": token})).body == b"node"


def test_google_gives_tokens_for_its_own_keys_and_holds_accounts_to_their_rights() -> None:
    seen: list[Request] = []

    def behind(request: Request) -> Reply:
        seen.append(request)
        return Reply(200, b"{}")

    with served(behind) as emulator:
        google = Google([], emulator)
        with served(google) as url:
            key, public = new_key("reader@p", f"{url}/token")
            google.accounts.append(ServiceAccount("reader@p", public, ("storage.objects.create",)))
            assert status(url, "GET", "/storage/v1/b/x/o", "none") == 401
            token = google_token(key)
            assert status(url, "GET", "/storage/v1/b/x/o", token) == 200
            assert status(url, "POST", "/upload/storage/v1/b/x/o", token) == 403
            with pytest.raises(Exception, match="Invalid JWT Signature"):
                google_token(new_key("reader@p", f"{url}/token")[0])
    assert [request.target for request in seen] == ["/storage/v1/b/x/o"]


def google_token(key: str) -> str:
    """As the SDK gets one."""
    from google.auth.transport.requests import Request as Transport
    from google.oauth2.service_account import Credentials

    made = Credentials.from_service_account_info(json.loads(key), scopes=["s"])
    made.refresh(Transport())
    return str(made.token)


def status(url: str, method: str, path: str, token: str) -> int:
    request = urllib.request.Request(url + path, method=method, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_requests_in_chunks_are_read_whole() -> None:
    import http.client

    with served(lambda request: Reply(200, request.body)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
        connection.request("POST", "/", body=iter([b"one ", b"two"]), encode_chunked=True)
        assert connection.getresponse().read() == b"one two"
        connection.close()
