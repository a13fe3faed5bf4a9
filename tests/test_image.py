"""The image, as far as it can be held to its word without a Docker engine: the Dockerfile is read, what it copies is
put into a folder, and its own commands are run there. Nothing here builds the image itself.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

from bench.stack import free_port
from console.lib.keys import FILE_NAME, new_key
from tests.rules import CHECKOUT, Tree, tree

STARTS_BEFORE = 60.0


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile. `stage` counts from 0."""

    stage: int
    name: str
    rest: str


def steps(dockerfile: str) -> list[Step]:
    """The instructions, with continued lines joined and comments left out."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.M)
    found, stage = [], -1
    for line in filter(str.strip, re.sub(r"\\\n\s*", "", text).splitlines()):
        name, rest = line.split(None, 1)
        stage += name == "FROM"
        found.append(Step(stage, name, rest))
    return found


def final(files: Tree) -> list[Step]:
    every = steps(files["Dockerfile"])
    return [step for step in every if step.stage == every[-1].stage]


def copied(files: Tree) -> list[str]:
    """What the Dockerfile copies out of the checkout."""
    copies = [step.rest.split() for step in steps(files["Dockerfile"]) if step.name == "COPY"]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


# Reading it


def wrong_with(files: Tree) -> list[str]:
    """Everything about the image that is not as it should be."""
    every, last = steps(files["Dockerfile"]), final(files)
    return [
        *_not_an_ordinary_user(last),
        *_builds_in_the_end(last),
        *_carries_a_secret(every),
        *_copies_what_is_not_there(files),
        *_installs_without_hashes(every),
        *_wrong_velero(files),
        *_differs_from_make_run(files),
    ]


def _not_an_ordinary_user(last: list[Step]) -> Iterator[str]:
    names = [step.name for step in last]
    users = [step.rest for step in last if step.name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d{3,}(:[1-9]\d{3,})?", users[-1]):
        yield f"runs as {users[-1:]}, not as a number that is not root"
    for wanted in ("HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL", "WORKDIR"):
        if wanted not in names:
            yield f"has no {wanted}"


def _builds_in_the_end(last: list[Step]) -> Iterator[str]:
    for step in last:
        if step.name == "RUN" and re.search(r"\b(pip|apt|apt-get|gcc|make|npm|curl|wget)\b", step.rest):
            yield f"installs in the final stage: {step.rest}"
        if step.name == "COPY" and not step.rest.startswith("--from="):
            yield f"copies the checkout into the final stage: {step.rest}"


def _carries_a_secret(every: list[Step]) -> Iterator[str]:
    for step in every:
        if step.name in ("ENV", "ARG", "LABEL") and re.search(r"KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL", step.rest):
            yield f"carries a secret: {step.rest}"


def _copies_what_is_not_there(files: Tree) -> Iterator[str]:
    allowed = [line[1:] for line in files[".dockerignore"].splitlines() if line.startswith("!")]
    for source in copied(files):
        if not any(path == source or path.startswith(f"{source}/") for path in files):
            yield f"copies {source}, which is not there"
        if not any(fnmatch.fnmatch(source, pattern) for pattern in allowed):
            yield f"copies {source}, which .dockerignore keeps out"
    if "*" not in files[".dockerignore"].splitlines():
        yield ".dockerignore lets everything in"


def _installs_without_hashes(every: list[Step]) -> Iterator[str]:
    installs = [step.rest for step in every if "pip install" in step.rest]
    if not installs or not all("--require-hashes" in line and "-r requirements.txt" in line for line in installs):
        yield f"does not install the lock with its hashes: {installs}"


def _wrong_velero(files: Tree) -> Iterator[str]:
    version = re.search(r"vmware-tanzu/velero (v\S+)", files["sandbox/go.mod"])
    sources = [step.rest for step in steps(files["Dockerfile"]) if step.name == "FROM" and "velero" in step.rest]
    if not version or sources != [f"velero/velero:{version[1]} AS velero"]:
        yield f"takes velero from {sources}, the sandbox runs {version and version[1]}"


def _differs_from_make_run(files: Tree) -> Iterator[str]:
    """One set of gunicorn options for one machine and for containers; one version everywhere."""
    one, other = (_gunicorn(files[path]) for path in ("console/processes.conf", "console/entrypoint.sh"))
    if one != other or not one:
        yield f"gunicorn is started in two ways: {one} and {other}"
    label = re.search(r'image\.version="([^"]+)"', files["Dockerfile"])
    if not label or label[1] != settings.VERSION or f'version = "{label[1]}"' not in files["pyproject.toml"]:
        yield f"has another version than the console: {label and label[1]}"


def _gunicorn(text: str) -> str:
    """The options it is started with, but for the address."""
    line = next(line for line in text.splitlines() if "gunicorn -c" in line)
    return re.sub(r'--bind \S+|"\$@"', "", line.split("gunicorn ")[1]).strip()


def test_the_image_is_as_it_should_be() -> None:
    assert wrong_with(tree()) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("Dockerfile", "USER 10001:10001", "USER root", "runs as ['root']"),
        ("Dockerfile", "USER 10001:10001", "USER drydock", "runs as ['drydock']"),
        ("Dockerfile", "USER 10001:10001\n", "", "runs as []"),
        ("Dockerfile", "USER 10001:10001", "USER 0:10001", "runs as"),
        ("Dockerfile", "HEALTHCHECK", "# HEALTHCHECK", "has no HEALTHCHECK"),
        ("Dockerfile", "EXPOSE 8000", "RUN apt-get install -y gcc", "installs in the final stage"),
        ("Dockerfile", "EXPOSE 8000", "COPY . .", "copies the checkout into the final stage"),
        ("Dockerfile", "    PORT=8000", "    CONSOLE_KEYS=abc", "carries a secret"),
        ("Dockerfile", "COPY static static", "COPY statics static", "statics, which is not there"),
        (".dockerignore", "!static\n", "", "static, which .dockerignore keeps out"),
        (".dockerignore", "\n*\n", "\n", ".dockerignore lets everything in"),
        ("Dockerfile", " --require-hashes", "", "does not install the lock with its hashes"),
        ("Dockerfile", "velero/velero:v1.18.3", "velero/velero:latest", "takes velero from"),
        ("console/entrypoint.sh", "console.webserver", "console.other", "gunicorn is started in two ways"),
        ("Dockerfile", 'version="0.1.0"', 'version="0.0.9"', "another version"),
    ],
)
def test_control_a_worse_image_is_found(path: str, old: str, new: str, says: str) -> None:
    assert old in tree()[path], "the plant no longer fits"
    found = wrong_with({**tree(), path: tree()[path].replace(old, new)})
    assert any(says in sentence for sentence in found), found


# Running its commands in what it would hold


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Dockerfile copies out of the checkout, committed or not, and nothing else of it."""
    folder, listing = (
        tmp_path_factory.mktemp("image"),
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    )
    for path in subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines():
        if any(path == source or path.startswith(f"{source}/") for source in copied(tree())):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / path, folder / path)
    return folder


def environment(var: Path, **own: str) -> dict[str, str]:
    """As little as a container has; the programs come from where the tests' own Python is."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": programs, "DRYDOCK_VAR": str(var), "PYTHONDONTWRITEBYTECODE": "1", **own}


def with_keys(var: Path, **own: str) -> dict[str, str]:
    return environment(var, SECRET_KEY="of this test only", CONSOLE_KEYS=new_key(), **own)


def run(image: Path, command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], cwd=image, env=env, capture_output=True, text=True, timeout=STARTS_BEFORE, check=False
    )


@pytest.mark.processes
def test_static_files_are_collected_by_the_very_command(image: Path, tmp_path: Path) -> None:
    command = next(step.rest for step in steps(tree()["Dockerfile"]) if "collectstatic" in step.rest)
    done = run(image, command, environment(tmp_path))
    assert done.returncode == 0, done.stderr
    manifest = image / "staticfiles" / "staticfiles.json"
    assert manifest.exists() and "css/" in manifest.read_text()
    assert not list(image.rglob(FILE_NAME)) and not list(tmp_path.iterdir())  # no key stays behind


@pytest.mark.processes
def test_control_settings_refuse_to_load_without_keys(image: Path, tmp_path: Path) -> None:
    done = run(image, "python manage.py collectstatic --no-input", environment(tmp_path))
    assert done.returncode != 0 and "SECRET_KEY is not set" in done.stderr


def entry(role: str) -> str:
    """The role, as the image starts it."""
    words = next(step.rest for step in final(tree()) if step.name == "ENTRYPOINT")
    return f"{shlex.join(json.loads(words))} {role}"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("worker --help", "rqworker"),
        ("reconcile --help", "Makes rows agree with clusters"),
        ("migrate --check --skip-checks", ""),
        ("manage createtenant --help", "--admin EMAIL"),
    ],
)
def test_each_role_starts(role: str, says: str, image: Path, tmp_path: Path) -> None:
    done = run(image, entry(role), with_keys(tmp_path))
    assert says in done.stdout and "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (
        1 if role.startswith("migrate") else 0
    )  # 1: there is something to migrate, and it said so


def test_an_unknown_role_is_refused_with_the_known_ones(image: Path, tmp_path: Path) -> None:
    done = run(image, entry("serve"), environment(tmp_path))
    assert done.returncode == 64 and "Name one: web, worker QUEUE, reconcile, migrate" in done.stderr


@contextmanager
def web(image: Path, env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(shlex.split(entry("web --workers 1")), cwd=image, env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STARTS_BEFORE)


@pytest.mark.processes
def test_the_health_check_tells_a_web_process_that_answers_from_one_that_does_not(image: Path, tmp_path: Path) -> None:
    env = with_keys(tmp_path, HOST="127.0.0.1", PORT=str(free_port()), ALLOWED_HOSTS="drydock.example.com")
    check = next(step.rest for step in final(tree()) if step.name == "HEALTHCHECK").split("CMD ")[1]
    with web(image, env, log := tmp_path / "web.log") as process:
        command = f"{shlex.join(json.loads(check))} {process.pid}"
        until = time.monotonic() + STARTS_BEFORE
        while (healthy := run(image, command, env)).returncode and time.monotonic() < until and process.poll() is None:
            time.sleep(0.3)
        assert healthy.returncode == 0, log.read_text()
        elsewhere = run(image, command, {**env, "PORT": str(free_port())})
    assert elsewhere.returncode == 1, "nobody listens there"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("role", "beats", "code"),
    [("worker", True, 0), ("worker", False, 1), ("reconcile", False, 1), ("web", True, 1), ("migrate", False, 0)],
)
def test_who_is_asked_and_whose_heartbeat_is_looked_at_also_behind_an_init_process(
    role: str, beats: bool, code: int, image: Path, tmp_path: Path
) -> None:
    init = ["sh", "-c", "sleep 60 & wait", "init", "console/entrypoint.sh", role]  # stands for `docker run --init`
    env = environment(tmp_path, PORT=str(free_port()))
    if beats:
        assert run(image, "python -c 'from console.lib import heartbeat; heartbeat.begin()'", env).returncode == 0
    with subprocess.Popen(init, start_new_session=True) as process:
        done = run(image, f"python -m console.health {process.pid}", env)
        os.killpg(process.pid, signal.SIGKILL)
    assert done.returncode == code, done.stderr
