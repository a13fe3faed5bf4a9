"""Holds the repository to its rules (tests/rules.py), and shows each rule a violation: one that cannot fail is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.checks import CheckMessage, Warning, registry
from pytest_django import Settings

from console.lib import keys
from tests.rules import (
    Tree,
    checks_have_ids_and_hints,
    ci_runs_make_test,
    decisions_are_half_pages,
    dependencies_have_reasons,
    documents_name_real_files,
    locks_have_hashes,
    no_path_of_a_machine,
    nothing_is_too_long,
    one_door_for_each_sdk,
    readme_lists_every_variable,
    shell_scripts_parse,
    targets_say_what_they_do,
    top_level_is_fixed,
    tree,
    velero_is_said_in_one_place,
)


@dataclass(frozen=True)
class Plant:
    rule: Callable[[Tree], list[str]]
    path: str
    change: Callable[[str], str]  # of the file's text, empty where there is none
    says: str


def _put(text: str) -> Callable[[str], str]:
    return lambda _: text


def _add(text: str) -> Callable[[str], str]:
    return lambda old: old + text


def _swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, f"the plant no longer fits: {old}"
        return text.replace(old, new, 1)

    return change


HASH = "--hash=sha256:" + "0" * 64
LONG = "def f() -> None:\n" + "    pass\n" * 50
PLANTS = [
    Plant(dependencies_have_reasons, "pyproject.toml", _swap('  "Django', '  "leftpad>=1",\n  "Django'), "leftpad>=1"),
    Plant(dependencies_have_reasons, "pyproject.toml", _swap('  "ruff', '  "leftpad>=1", # ?\n  "ruff'), "leftpad>=1"),
    Plant(locks_have_hashes, "requirements.txt", _add("leftpad==1.0\n"), "leftpad==1.0"),
    Plant(locks_have_hashes, "requirements.txt", _add(f"leftpad>=1.0 {HASH}\n"), "leftpad>=1.0"),
    Plant(locks_have_hashes, "requirements-dev.txt", _add(f"x @ https://example.com/x.whl {HASH}\n"), "x @ https"),
    Plant(locks_have_hashes, "requirements-dev.txt", _add("--index-url https://example.com/simple\n"), "--index-url"),
    Plant(no_path_of_a_machine, "docs/notes.md", _put("see /" + "root/notes"), "docs/notes.md"),
    Plant(no_path_of_a_machine, "tests/x.py", _put('X = "/' + 'home/me/x"'), "tests/x.py"),
    Plant(no_path_of_a_machine, "Makefile", _add("\tcd /" + "work\n"), "Makefile"),
    Plant(top_level_is_fixed, "utils/helpers.py", _put(""), "utils is not part"),
    Plant(top_level_is_fixed, "docker-compose.yml", _put(""), "docker-compose.yml"),
    Plant(
        one_door_for_each_sdk, "backups/x.py", _put("def f():\n    from kubernetes.client import V1Pod"), "kubernetes"
    ),
    Plant(one_door_for_each_sdk, "backups/velero/x.py", _put("import botocore.config as c"), "imports botocore"),
    Plant(one_door_for_each_sdk, "bench/x.py", _put("import boto3"), "bench/x.py: imports boto3"),
    Plant(one_door_for_each_sdk, "backups/storage/x.py", _put("from google.cloud import storage"), "imports google"),
    Plant(one_door_for_each_sdk, "console/lib/x.py", _put("from cryptography import x509"), "imports cryptography"),
    Plant(one_door_for_each_sdk, "accounts/x.py", _put("import_module = __import__('rq')"), "imports rq"),
    Plant(one_door_for_each_sdk, "accounts/x.py", _put("importlib.import_module('django_rq')"), "imports django_rq"),
    Plant(one_door_for_each_sdk, "console/views.py", _add("\nimport prometheus_client"), "imports prometheus_client"),
    Plant(velero_is_said_in_one_place, "backups/actions/backup.py", _add("# velero.io" + "/v1"), "actions/backup.py"),
    Plant(velero_is_said_in_one_place, "templates/x.html", _put("velero.io" + "/v1"), "templates/x.html"),
    Plant(nothing_is_too_long, "console/x.py", _put("X = 1\n" * 401), "401 lines"),
    Plant(nothing_is_too_long, "backups/x.py", _put(LONG), "f has 51 lines"),
    Plant(
        nothing_is_too_long, "backups/x.py", _put(f"class A:\n    async {LONG}".replace("pass", "    pass")), "51 lines"
    ),
    Plant(
        checks_have_ids_and_hints,
        "console/checks.py",
        _add('\nX = Error("No.", id="console.E999")'),
        "without id or hint",
    ),
    Plant(
        checks_have_ids_and_hints, "console/checks.py", _add('\nX = Warning("No.", hint="Do.")'), "without id or hint"
    ),
    Plant(
        targets_say_what_they_do, "Makefile", _swap("lint: .venv/.all ## ruff", "lint: .venv/.all # ruff"), "make lint"
    ),
    Plant(targets_say_what_they_do, "Makefile", _add("\nsecret: ## a target\n"), "make secret is not phony"),
    Plant(ci_runs_make_test, ".ci/run", _add("make deploy\n"), "more or less"),
    Plant(ci_runs_make_test, ".ci/run", _swap("make test", "make test-fast"), "more or less"),
    Plant(shell_scripts_parse, ".ci/suite", _add("\nif true; then\n"), ".ci/suite"),
    Plant(shell_scripts_parse, "console/entrypoint.sh", _add("\ncase $x in\n"), "console/entrypoint.sh"),
    Plant(
        readme_lists_every_variable,
        "console/settings.py",
        _add('\nX = env.str("NEW_ONE", default="")'),
        "NEW_ONE is read",
    ),
    Plant(
        readme_lists_every_variable, "backups/x.py", _put('import os\nX = os.environ.get("HIDDEN")'), "HIDDEN is read"
    ),
    Plant(
        readme_lists_every_variable,
        "README.md",
        _swap("| `DEBUG`", "| `GONE` | off | x |\n| `DEBUG`"),
        "GONE is listed",
    ),
    Plant(readme_lists_every_variable, "README.md", _swap("| `PORT` | `8000`", "| `PORT` | `80`"), "PORT is 8000"),
    Plant(readme_lists_every_variable, "README.md", _swap("| `DEBUG` | off", "| `DEBUG` | on"), "DEBUG is off"),
    Plant(documents_name_real_files, "README.md", _add("`backups/gone.py`"), "backups/gone.py is not there"),
    Plant(documents_name_real_files, "docs/adr/0001-rows-are-the-truth.md", _add("`bench/gone/`"), "bench/gone/"),
    Plant(decisions_are_half_pages, "docs/adr/0002-again.md", _put("# 2. Again"), "should be number 3"),
    Plant(decisions_are_half_pages, "docs/adr/0001-rows-are-the-truth.md", _add("word " * 350), "longer than half"),
]
RULES = list(dict.fromkeys(plant.rule for plant in PLANTS))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule: Callable[[Tree], list[str]]) -> None:
    assert rule(tree()) == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.rule.__name__}-{plant.path}")
def test_control_a_planted_violation_is_found(plant: Plant) -> None:
    planted = {**tree(), plant.path: plant.change(tree().get(plant.path, ""))}
    new = set(plant.rule(planted)) - set(plant.rule(tree()))
    assert any(plant.says in said for said in new), new


# System checks: silent on a sound console, and each finds the problem that is planted for it


def _bad_ring(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    settings.CONSOLE_KEYS = ["dG9vIHNob3J0"]


def _readable_keys(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    (settings.VAR / keys.FILE_NAME).chmod(0o640)


def _late_locks(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    options = {**settings.DATABASES["default"]["OPTIONS"], "transaction_mode": "DEFERRED"}
    patch.setitem(settings.DATABASES["default"], "OPTIONS", options)


def _loopback(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    settings.OUTBOUND_ALLOW_LOOPBACK = True


PROBLEMS = {
    "console.E001": _bad_ring,
    "console.E002": _readable_keys,
    "console.E003": _late_locks,
    "console.W001": _loopback,
}


@pytest.fixture
def sound(settings: Settings, tmp_path: Path) -> Settings:
    """A console as it should be in production, as far as our checks look."""
    settings.VAR, settings.OUTBOUND_ALLOW_LOOPBACK, settings.CONSOLE_KEYS = tmp_path, False, [keys.new_key()]
    keys.ensure(tmp_path)
    return settings


def _findings() -> list[CheckMessage]:
    ours = [one for one in registry.registry.get_checks(include_deployment_checks=True) if _is_ours(one)]
    return [finding for check in ours for finding in check(app_configs=None)]


def _is_ours(check: object) -> bool:
    return getattr(check, "__module__", "") == "console.checks"


def test_system_checks_are_silent_on_a_sound_console(sound: Settings) -> None:
    assert _findings() == []


@pytest.mark.parametrize("identity", PROBLEMS)
def test_each_system_check_finds_its_problem(identity: str, sound: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    PROBLEMS[identity](sound, monkeypatch)
    findings = _findings()
    assert [finding.id for finding in findings] == [identity]
    assert findings[0].hint and findings[0].msg
    assert isinstance(findings[0], Warning) == identity.startswith("console.W")


def test_every_system_check_has_a_planted_problem() -> None:
    known = set(re.findall(r'id="(console\.[A-Z]\d{3})"', tree()["console/checks.py"]))
    assert known == set(PROBLEMS)
    ours = [one for one in registry.registry.get_checks(include_deployment_checks=True) if _is_ours(one)]
    assert {(one.__doc__ or "").split()[0] for one in ours} == known
