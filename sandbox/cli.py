"""The command line: build, up, status, down, wipe."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox.build import build
from sandbox.errors import SandboxError
from sandbox.files import private_dir
from sandbox.guard import STOP_LIMIT, end_strays, run_guarded
from sandbox.keeper import after_keeper, keep
from sandbox.meter import Meter
from sandbox.state import CHECKOUT, State, default_home, is_running, lock_file, read_state, state_file


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 for success, 1 for failure, 3 from `status` when not everything runs."""
    options = _parser().parse_args(arguments)
    home = Path(options.home).resolve() if options.home else default_home()
    try:
        return int(options.command(home, options))
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description="The real local stack: Kubernetes, Velero, S3.")
    commands = parser.add_subparsers(required=True)
    for name, command, text in (
        ("build", _build, "build the Go tools, once per machine"),
        ("up", _up, "start everything; returns when it is ready"),
        ("status", _status, "say what runs"),
        ("down", _down, "stop everything; the data stays"),
        ("wipe", _wipe, "stop everything and delete the data"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--home", metavar="DIR", help="where the data is (default: var/sandbox)")
        if name == "up":
            how = sub.add_mutually_exclusive_group()
            how.add_argument("--detach", action="store_true", help="leave it running in the background (the default)")
            sub.add_argument(
                "--clouds", action="store_true", help="with stand-ins for AWS STS, instances and Google Cloud"
            )
            how.add_argument("--foreground", action="store_true", help="stay, and stop everything on Ctrl-C")
    return parser


def _build(home: Path, options: argparse.Namespace) -> int:
    meter = Meter(sys.stdout)
    try:
        tools = build(meter.show)
    finally:
        meter.finish()
    print(f"The Go tools are in {tools.root / 'bin'}.")
    return 0


def _up(home: Path, options: argparse.Namespace) -> int:
    if options.foreground:
        meter = Meter(sys.stdout)
        code = run_guarded(home, lambda: keep(home, meter.show, with_clouds=options.clouds), lambda: after_keeper(home))
        meter.finish()
        state = read_state(home)
        print(state.message if state else "The sandbox ended.", file=sys.stderr if code else sys.stdout)
        return 1 if code else 0
    starter = None if is_running(home) else _start_in_background(home, ["--clouds"] if options.clouds else [])
    state = _follow(home, starter)
    print(_summary(state))
    return 0


def _start_in_background(home: Path, more: list[str]) -> subprocess.Popen[bytes]:
    logs = private_dir(private_dir(home) / "logs")
    state_file(home).unlink(missing_ok=True)  # an earlier run's end must not be taken for this run's
    command = [sys.executable, "-m", "sandbox", "up", "--foreground", "--home", str(home), *more]
    with os.fdopen(os.open(logs / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        return subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _follow(home: Path, starter: subprocess.Popen[bytes] | None) -> State:
    """Show progress until the sandbox is ready.

    Raises: SandboxError when it fails.
    """
    meter = Meter(sys.stdout)
    try:
        while True:
            alive = (starter is not None and starter.poll() is None) or is_running(home)
            state = read_state(home)
            if state and state.ready:
                return state
            if not alive:
                raise _why_it_ended(home, state)
            if state:
                meter.show(state.progress)
            time.sleep(0.1)
    finally:
        meter.finish()


def _why_it_ended(home: Path, state: State | None) -> SandboxError:
    if state and state.stage in ("failed", "stopped"):
        return SandboxError(state.message)
    return SandboxError("The sandbox ended while it was starting.", log=home / "logs" / "keeper.log")


def _summary(state: State) -> str:
    lines = [state.message]
    for cluster in state.clusters.values():
        lines += [f"  {cluster.name}  {cluster.server}", f"    kubeconfig   {cluster.kubeconfig}"]
    if state.s3:
        lines += [
            f"  S3 bucket {state.s3.bucket}, region {state.s3.region}",
            f"    plain        {state.s3.plain_url}",
            f"    TLS          {state.s3.tls_url}  (authority: {state.s3.ca_file})",
            f"    credentials  {state.s3.credentials_file}",
        ]
    return "\n".join(lines)


def _status(home: Path, options: argparse.Namespace) -> int:
    state = read_state(home)
    if not state or not is_running(home):
        print(f"No sandbox is running in {home}.")
        return 3
    print(_summary(state) if state.stage == "ready" else f"{state.stage}: {state.progress.what}")
    for part in state.parts.values():
        print(f"  {part.status:8} {part.pid or '-':>8}  {part.name}")
    return 0 if state.ready and not state.degraded else 3


def _down(home: Path, options: argparse.Namespace) -> int:
    if not is_running(home):
        end_strays(home)
        print(f"No sandbox is running in {home}.")
        return 0
    deadline = time.monotonic() + STOP_LIMIT + 15
    asked = 0
    while is_running(home):
        guard = _guard_pid(home)
        if guard and guard != asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(guard, signal.SIGTERM)
            asked = guard
        if time.monotonic() > deadline:
            raise SandboxError(f"The sandbox in {home} does not stop. Its guard is process {guard}.")
        time.sleep(0.05)
    print("The sandbox was stopped.")
    return 0


def _guard_pid(home: Path) -> int:
    text = lock_file(home).read_text()
    return int(text) if text.isdigit() else 0


def _wipe(home: Path, options: argparse.Namespace) -> int:
    _down(home, options)
    if home.exists():
        if not lock_file(home).exists():
            raise SandboxError(f"{home} does not look like a sandbox. Nothing was deleted.")
        shutil.rmtree(home)
    print(f"The sandbox's data in {home} is gone.")
    return 0
