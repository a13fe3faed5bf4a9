"""Locations: tried before they are saved, and only what was tried is saved."""

from __future__ import annotations

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEvent, User
from backups.actions.location import create_location, default_prefix, request_check, request_recheck
from backups.models import BackupLocation, CheckState, LocationCheck
from console.lib.errors import BadInput, NotVisible
from tests.conftest import make_location
from workspaces.actions.project import create_project
from workspaces.models import Project

Sent = list[tuple[str, str, int, str]]
pytestmark = pytest.mark.django_db
KEYS = {"access_key": "AKIAPLANTED", "secret_key": "planted-storage-secret"}


def tried(by: User, project: Project, state: str = CheckState.COMPLETED, **fields: object) -> LocationCheck:
    """A check that has ended."""
    check = request_check(by=by, project=project, **{"bucket": "b", "credentials": KEYS} | fields)
    LocationCheck.objects.filter(pk=check.pk).update(state=state, message="" if state == "completed" else "No bucket.")
    return LocationCheck.objects.get(pk=check.pk)  # type: ignore[no-any-return]


class TestRequestCheck:
    def test_a_row_and_a_message(
        self,
        alice: User,
        project: Project,
        sent: Sent,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            check = request_check(by=alice, project=project, bucket="b", credentials=KEYS)
        assert sent == [("backups.jobs.check_location", str(check.pk), 0, "interactive")]
        assert LocationCheck.objects.get().draft["prefix"] == default_prefix(project)
        row = AuditEvent.objects.get(verb="location.check")
        assert "planted" not in repr((row.target, row.details))

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"bucket": ""}, "bucket"),
            ({"credentials": {}}, "access_key"),
            ({"credentials": {"access_key": "A"}}, "secret_key"),
            ({"credentials": {"secret_key": "planted"}}, "access_key"),
            ({"ca_certificate": "not a certificate"}, "certificate"),
            ({"sign_in": "sts-keys", "credentials": {}}, "access_key"),
            ({"sign_in": "service-account", "credentials": {}}, "service_account"),
        ],
    )
    def test_what_cannot_be_right_is_said_before_anything_is_stored(
        self, alice: User, project: Project, fields: dict[str, object], field: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            request_check(by=alice, project=project, **{"bucket": "b", "credentials": KEYS} | fields)
        assert caught.value.field == field
        assert "planted" not in caught.value.sentence()
        assert not LocationCheck.objects.exists()

    @pytest.mark.parametrize(("typed", "kept"), [("a/b/", "a/b"), ("/a", "a"), ("a", "a")])
    def test_slashes_at_the_ends_mean_nothing(self, alice: User, project: Project, typed: str, kept: str) -> None:
        check = request_check(by=alice, project=project, bucket="b", credentials=KEYS, prefix=typed)
        assert check.draft["prefix"] == kept

    @pytest.mark.parametrize("typed", ["", "/", "//"])
    def test_never_the_root_of_a_bucket(self, alice: User, project: Project, typed: str) -> None:
        check = request_check(by=alice, project=project, bucket="b", credentials=KEYS, prefix=typed)
        assert check.draft["prefix"] == default_prefix(project)

    def test_a_stranger(self, charlie: User, project: Project, store: BackupLocation) -> None:
        with pytest.raises(NotVisible):
            request_check(by=charlie, project=project, bucket="b", credentials=KEYS)
        with pytest.raises(NotVisible):
            request_recheck(by=charlie, location=store)
        assert not LocationCheck.objects.exists()

    def test_again_for_a_saved_one_needs_no_keys(self, alice: User, store: BackupLocation) -> None:
        check = request_recheck(by=alice, location=store)
        assert (check.location, check.draft, check.project) == (store, None, store.project)


SIGN_INS: list[dict[str, object]] = [
    {"sign_in": "sts-keys", "role_arn": "arn:aws:iam::1:role/r", "external_id": "x1", "credentials": KEYS},
    {"sign_in": "sts-cluster", "role_arn": "arn:aws:iam::1:role/r", "external_id": "x1", "credentials": {}},
    {"sign_in": "service-account", "provider": "gcp", "region": "", "credentials": {"service_account": "{}"}},
]


class TestCreate:
    @pytest.mark.parametrize("fields", SIGN_INS)
    def test_every_sign_in_is_kept_as_it_was_tried(
        self, alice: User, project: Project, fields: dict[str, object]
    ) -> None:
        create_location(by=alice, check=tried(alice, project, prefix="p", **fields), name="store")
        stored = BackupLocation.objects.get()
        assert {name: getattr(stored, name) for name in fields} == fields
        assert "planted" not in repr([row.details for row in AuditEvent.objects.all()])

    def test_it_is_what_was_tried(self, alice: User, project: Project) -> None:
        check = tried(alice, project, s3_url="https://s3.example", path_style=True, prefix="p")
        made = create_location(by=alice, check=check, name="store")
        stored = BackupLocation.objects.get(pk=made.pk)
        assert (stored.bucket, stored.prefix, stored.s3_url, stored.path_style) == (
            "b",
            "p",
            "https://s3.example",
            True,
        )
        assert stored.credentials == KEYS
        assert stored.state == "available"

    @pytest.mark.parametrize("state", [CheckState.REQUESTED, CheckState.FAILED, CheckState.NOT_CHECKABLE])
    def test_what_did_not_pass_is_not_saved(self, alice: User, project: Project, state: str) -> None:
        with pytest.raises(BadInput, match="Validate the location first"):
            create_location(by=alice, check=tried(alice, project, state), name="store")
        assert not BackupLocation.objects.exists()

    def test_unless_one_says_so(self, alice: User, project: Project) -> None:
        made = create_location(by=alice, check=tried(alice, project, CheckState.FAILED), name="s", unvalidated=True)
        assert (made.state, made.state_reason) == ("unknown", "No bucket.")
        assert AuditEvent.objects.get(verb="location.create").details["validated"] is False

    @pytest.mark.parametrize("name", ["", "x" * 64])
    def test_a_bad_name(self, alice: User, project: Project, name: str) -> None:
        with pytest.raises(BadInput) as caught:
            create_location(by=alice, check=tried(alice, project), name=name)
        assert caught.value.field == "name"

    def test_a_taken_name(self, alice: User, project: Project) -> None:
        make_location(project, "store")
        with pytest.raises(BadInput, match="of this name"):
            create_location(by=alice, check=tried(alice, project), name="store")

    def test_a_taken_place_even_in_another_project(self, alice: User, project: Project) -> None:
        second = create_project(by=alice, tenant=project.tenant, name="Second")
        create_location(by=alice, check=tried(alice, project, prefix="p"), name="one")
        with pytest.raises(BadInput, match="uses this bucket and prefix already"):
            create_location(by=alice, check=tried(alice, second, prefix="p/"), name="two")

    def test_twice_is_once(self, alice: User, project: Project) -> None:
        check = tried(alice, project)
        create_location(by=alice, check=check, name="store")
        with pytest.raises(BadInput):
            create_location(by=alice, check=check, name="store")
        assert BackupLocation.objects.count() == 1

    def test_a_check_of_a_saved_one_makes_none(self, alice: User, store: BackupLocation) -> None:
        with pytest.raises(BadInput, match="saved already"):
            create_location(by=alice, check=request_recheck(by=alice, location=store), name="other")

    def test_a_stranger(self, alice: User, charlie: User, project: Project) -> None:
        check = tried(alice, project)
        with pytest.raises(NotVisible):
            create_location(by=charlie, check=check, name="store")
        assert not BackupLocation.objects.exists()
