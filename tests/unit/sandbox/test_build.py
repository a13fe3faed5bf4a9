"""Building: what the key covers, what counts as progress, who waits for whom."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from sandbox import build
from sandbox.errors import SandboxError
from sandbox.state import Progress

FILES = {"go.mod": b"module x", "go.sum": b"sums"}


def test_the_key_is_the_same_in_any_order() -> None:
    assert build.build_key(FILES, ["-v"]) == build.build_key(dict(reversed(FILES.items())), ["-v"])


@pytest.mark.parametrize(
    ("files", "flags"),
    [
        (FILES | {"go.mod": b"module y"}, ["-v"]),
        (FILES | {"go.sum": b"other"}, ["-v"]),
        (FILES, ["-v", "-trimpath"]),
        ({"go.mod": b"module xgo.sum", "go.sum": b"sums"}, ["-v"]),
    ],
)
def test_the_key_changes_with_every_input(files: dict[str, bytes], flags: list[str]) -> None:
    assert build.build_key(files, flags) != build.build_key(FILES, ["-v"])


def test_flags_carry_the_versions_of_go_mod_and_free_port_8080() -> None:
    flags = " ".join(build.build_flags())
    kubernetes = build.module_version("k8s.io/kubernetes")
    assert f"version.gitVersion={kubernetes}" in flags
    assert f"buildinfo.Version={build.module_version('github.com/vmware-tanzu/velero')}" in flags
    assert "metrics/server.DefaultBindAddress=0" in flags


def test_an_unknown_module_is_a_sentence() -> None:
    with pytest.raises(SandboxError, match=r"does not name example\.com/nothing"):
        build.module_version("example.com/nothing")


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("k8s.io/kubernetes/cmd/kube-apiserver\n", True),
        ("internal/goarch\n", True),
        ("gopkg.in/evanphx/json-patch.v4\n", True),
        ("unsafe\n", True),
        ("go: downloading k8s.io/klog/v2 v2.140.0\n", False),
        ("# github.com/x/y\n", False),
        ("../x/y.go:3:4: undefined: z\n", False),
        ("\n", False),
        ("", False),
    ],
)
def test_only_packages_count(line: str, counts: bool) -> None:
    assert build.is_package(line) is counts


def test_progress_never_passes_its_end() -> None:
    assert build.building(1240, 3492) == Progress(1240, 3492, "building Go tools 1,240/3,492")
    assert build.building(5, 4).total == 5


def test_what_is_built_is_not_built_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRYDOCK_CACHE", str(tmp_path))
    built: list[Path] = []

    def pretend(tools: build.Tools, flags: list[str], report: build.Report) -> None:
        built.append(tools.root)
        tools.root.mkdir()

    monkeypatch.setattr(build, "_build", pretend)
    first, second = build.build(lambda progress: None), build.build(lambda progress: None)
    assert first == second
    assert built == [first.root]
    assert first.path("velero") == str(first.root / "bin" / "velero")


@pytest.mark.slow
def test_a_second_builder_waits_and_sees_the_first_one_s_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    held, done = threading.Event(), threading.Event()
    progress = build.building(7, 9)

    def first() -> None:
        with build._sole_builder(tmp_path, "key", lambda progress: None):
            (tmp_path / "key.progress.json").write_text(json.dumps(vars(progress)))
            held.set()
            done.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(10)

    def note(progress: Progress) -> None:
        seen.append(progress)
        done.set()

    with build._sole_builder(tmp_path, "key", note):
        thread.join()
    assert seen[0] == progress


def test_a_failed_command_names_its_log_and_keeps_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    with pytest.raises(SandboxError, match=f"^Building failed. See {log}.$") as caught:
        list(build._lines("Building", ["sh", "-c", "echo some/package; echo broken >&2; exit 3"], log))
    assert caught.value.log == log
    assert log.read_text() == "some/package\nbroken\n"
