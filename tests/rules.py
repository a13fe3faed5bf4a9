"""The rules of the repository: functions from its tracked files to a list of violations. tests/test_repository.py holds
the repository to them, and shows each of them a planted violation.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
Tree = Mapping[str, str]  # path of a tracked file: its text
ROOMS = ("accounts/", "backups/", "console/", "workspaces/")


@cache
def tree() -> Tree:
    """Every file that git tracks and that is text, as it is in the working copy."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    files = (CHECKOUT / name for name in names.split("\0") if name)
    return {str(file.relative_to(CHECKOUT)): text for file in files if (text := _text(file)) is not None}


def _text(file: Path) -> str | None:
    try:
        return file.read_text()
    except (UnicodeDecodeError, FileNotFoundError):  # a picture, or removed and not yet committed
        return None


def _python(files: Tree, *rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for path, text in files.items():
        if path.endswith(".py") and path.startswith(rooms or ("",)):
            yield path, _parsed(text)


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def dependencies_have_reasons(files: Tree) -> list[str]:
    """Each line of a dependency list in pyproject.toml ends with a comment."""
    text = files["pyproject.toml"]
    project = tomllib.loads(text)
    wanted = [*project["project"]["dependencies"], *chain(*project["dependency-groups"].values())]
    lines = [line.strip() for line in text.splitlines()]
    reasoned = {line.split('"')[1] for line in lines if re.fullmatch(r'"[^"]+",?\s*#\s*\S.{5,}', line)}
    return [f"pyproject.toml: {name} has no reason" for name in wanted if name not in reasoned]


def locks_have_hashes(files: Tree) -> list[str]:
    """Every requirement of both lock files is one exact version with hashes, and none says where to get it from."""
    wrong = []
    for path in ("requirements.txt", "requirements-dev.txt"):
        joined = re.sub(r"\s*\\\n\s*", " ", files[path])
        for line in filter(None, (line.split("#")[0].strip() for line in joined.splitlines())):
            if "://" in line or line.startswith("-"):
                wrong.append(f"{path}: names a host or an option: {line[:60]}")
            elif not re.fullmatch(r"[\w.\[\],-]+==\S+( ;[^#]*?)?( --hash=sha256:[0-9a-f]{64})+", line):
                wrong.append(f"{path}: no exact version with hashes: {line[:60]}")
    return wrong


HOST_PATH = re.compile(r"(?<![\w.*~-])/(?:(?:root|home)/|work(?![a-z]))")


def no_path_of_a_machine(files: Tree) -> list[str]:
    """Nothing tells on whose machine it was written."""
    return [f"{path}: {found[0]}" for path, text in files.items() if (found := HOST_PATH.search(text))]


TOP_LEVEL = {
    *("manage.py", "console", "backups", "workspaces", "accounts", "templates", "static", "tests", "requirements.txt"),
    *("Dockerfile", "README.md", "Makefile", "pyproject.toml", ".ci", "sandbox", "bench", "docs"),
    *("requirements-dev.txt", ".gitignore", ".dockerignore"),
}


def top_level_is_fixed(files: Tree) -> list[str]:
    return [f"{name} is not part of the layout" for name in {path.split("/")[0] for path in files} - TOP_LEVEL]


DOORS = {
    "kubernetes": ("console/kube/",),
    "boto3": ("backups/storage/",),
    "botocore": ("backups/storage/",),
    "google": ("backups/storage/gcs.py", "backups/storage/gcs_trouble.py"),
    "cryptography": ("console/lib/crypto.py", "console/lib/certificates.py"),
    # bench/faults/plain.py is the plain way, the control that the console is held against
    "rq": (
        "console/lib/queue.py",
        "console/lib/worker.py",
        "backups/management/commands/rqworker.py",
        "bench/faults/plain.py",
    ),
    "django_rq": ("console/lib/queue.py", "backups/management/commands/rqworker.py"),
    "guardian": ("accounts/models/role.py",),
    "prometheus_client": ("console/lib/metrics.py",),
}


def one_door_for_each_sdk(files: Tree) -> list[str]:
    """In the product. Tests may import what a door hides, to hold the door against it; the sandbox is no part of it."""
    return [
        f"{path}: imports {name}"
        for path, module in _python(files, *ROOMS, "bench/", "manage.py")
        for name in sorted(_imported(module))
        if name in DOORS and not path.startswith(DOORS[name])
    ]


@cache
def _imported(module: ast.Module) -> frozenset[str]:
    return frozenset(_names_imported(module))


def _names_imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        match node:
            case ast.Import():
                yield from (alias.name.split(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(name), level=0):
                yield name.split(".")[0]
            case ast.Call(args=[ast.Constant(str(name)), *_]) if ast.unparse(node.func).endswith(_IMPORTERS):
                yield name.split(".")[0]


_IMPORTERS = ("__import__", "import_module", "import_string")


def velero_is_said_in_one_place(files: Tree) -> list[str]:
    said, rooms = "velero.io" + "/v1", (*ROOMS, "templates/", "static/")
    elsewhere = (path for path in files if path.startswith(rooms) and not path.startswith("backups/velero/"))
    return [f"{path}: says {said}" for path in elsewhere if said in files[path]]


def nothing_is_too_long(files: Tree) -> list[str]:
    """House alarms: 400 lines a file, 50 a function. What Django writes itself is left out."""
    wrong = []
    for path, module in _python({p: t for p, t in files.items() if "/migrations/" not in p}, *ROOMS):
        if (lines := files[path].count("\n")) > 400:
            wrong.append(f"{path}: {lines} lines")
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                wrong += [f"{path}: {node.name} has {length} lines"] if length > 50 else []
    return wrong


def checks_have_ids_and_hints(files: Tree) -> list[str]:
    """Every finding of console/checks.py is made with an id and a hint."""
    made = (node for node in ast.walk(ast.parse(files["console/checks.py"])) if isinstance(node, ast.Call))
    findings = [node for node in made if isinstance(node.func, ast.Name) and node.func.id in _KINDS]
    return [
        f"console/checks.py:{node.lineno}: a finding without id or hint"
        for node in findings
        if not {"id", "hint"} <= {keyword.arg for keyword in node.keywords}
    ]


_KINDS = {"Debug", "Info", "Warning", "Error", "Critical", "CheckMessage"}


def targets_say_what_they_do(files: Tree) -> list[str]:
    """Every target that people type is phony, has a help text, and is listed by `make help`."""
    makefile = files["Makefile"]
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.M)
    targets = dict(re.findall(r"^([a-z][a-z0-9-]*):(?!=)(.*)$", makefile, re.M))
    silent = [f"make {name} has no help" for name, rest in targets.items() if not re.search(r"## \S", rest)]
    unlisted = [f"make {name} is not listed by make help" for name in targets.keys() - _listed(makefile)]
    odd = targets.keys() ^ set(phony[1].split() if phony else ())
    return silent + unlisted + [f"make {name} is not phony, or phony and not there" for name in odd]


def _listed(makefile: str) -> set[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".mk") as file:
        file.write(makefile)
        file.flush()
        run = subprocess.run(["make", "-sf", file.name, "help"], capture_output=True, text=True, check=False)
    return set(re.findall(r"^  make (\S+)", run.stdout, re.M))


def ci_runs_make_test(files: Tree) -> list[str]:
    lines = [line for line in files[".ci/run"].splitlines() if line and not line.startswith("#")]
    wanted = ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]
    return [] if lines == wanted else [f".ci/run does more or less than make test: {lines}"]


def shell_scripts_parse(files: Tree) -> list[str]:
    """By the shell that each names in its first line."""
    wrong = []
    for path, text in files.items():
        if shell := re.match(r"#!.*\b(bash|sh)\n", text):
            run = subprocess.run([shell[1], "-n"], input=text, text=True, capture_output=True, check=False)
            wrong += [f"{path}: {run.stderr.strip()}"] if run.returncode else []
    return wrong


def _read_variables(files: Tree) -> dict[str, str]:
    """Every environment variable that the console or its sandbox reads; its default, empty where it is no literal."""
    found: dict[str, str] = {}
    modules = sorted(_python(files, *ROOMS, "sandbox/"), key=lambda one: one[0] != "console/settings.py")
    for path, module in modules:
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call) and node.args):
            name = str(getattr(call.args[0], "value", ""))
            handed_on = path.startswith("sandbox/") and name in ("PATH", "HOME")  # to the programs that it starts
            if _READS.fullmatch(ast.unparse(call.func)) and re.fullmatch(r"[A-Z_]+", name) and not handed_on:
                found.setdefault(name, _default(call))
    return found


_READS = re.compile(r"env|env\.\w+|_own_key|os\.(environ\.get|getenv)|environment\.get")


def _default(call: ast.Call) -> str:
    """As the table shows it."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}.get("default", call.args[-1])
    try:
        value = ast.literal_eval(given)
    except ValueError:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(value) if isinstance(value, list) else str(value)
    return "" if given is call.args[0] or ast.unparse(call.func) == "_own_key" else text or "empty"


def readme_lists_every_variable(files: Tree) -> list[str]:
    """The configuration table has a line for each variable that is read, with its default, and no other line."""
    table = files["README.md"].split("## Configuration")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| .+ \|$", table, re.M))
    read = _read_variables(files)
    wrong = [f"README.md: {name} is read and not listed" for name in read.keys() - rows.keys()]
    wrong += [f"README.md: {name} is listed and nobody reads it" for name in rows.keys() - read.keys()]
    for name, default in read.items():
        if default and name in rows and default not in rows[name]:
            wrong.append(f"README.md: {name} is {default} by default, not {rows[name]}")
    return wrong


def documents_name_real_files(files: Tree) -> list[str]:
    """Whatever README and docs name as a path of this repository is there."""
    folders = {path.rsplit("/", depth)[0] + "/" for path in files for depth in range(1, path.count("/") + 1)}
    wrong = []
    for path, text in files.items():
        if path.endswith(".md"):
            named = re.findall(r"`((?:\.?\w[\w-]*/)+(?:[\w.-]+)?)`", text)
            there = {*files, *folders}
            wrong += [f"{path}: {name} is not there" for name in named if _ours(name) and name not in there]
    return wrong


def _ours(name: str) -> bool:
    return name.split("/", maxsplit=1)[0] in TOP_LEVEL


def decisions_are_half_pages(files: Tree) -> list[str]:
    """docs/adr/: numbered without a gap, titled with their number, 350 words at most."""
    decisions = sorted(path for path in files if path.startswith("docs/adr/"))
    wrong = []
    for number, path in enumerate(decisions, start=1):
        if not path.startswith(f"docs/adr/{number:04}-") or not files[path].startswith(f"# {number}. "):
            wrong.append(f"{path}: should be number {number}")
        if len(files[path].split()) > 350:
            wrong.append(f"{path}: longer than half a page")
    return wrong
