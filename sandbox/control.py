"""Orders to a running sandbox: stop or start one of its programs, as a test of faults does.

The keeper listens on `<home>/control.sock`, which only the owner can open. One JSON line there, one back:
{"do": "stop" | "kill" | "start", "part": "harbor-east/velero"} → {"error": "" or a sentence}.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.state import State

LIMIT = 90  # seconds until an order has to be carried out


def stop_velero(state: State, cluster: str, *, kill: bool = False) -> None:
    """Stop the cluster's Velero server, with SIGKILL if `kill`; returns when it and its plugins have ended.

    Raises: SandboxError.
    """
    order(state.home, "kill" if kill else "stop", f"{cluster}/velero")


def start_velero(state: State, cluster: str) -> None:
    """Start the cluster's Velero server; returns when it answers. Nothing happens if it runs.

    Raises: SandboxError.
    """
    order(state.home, "start", f"{cluster}/velero")


def stop_api_server(state: State, cluster: str, *, kill: bool = False) -> None:
    """Stop the cluster's API server. Its controller manager and Velero stay, as after an outage.

    Raises: SandboxError.
    """
    order(state.home, "kill" if kill else "stop", f"{cluster}/kube-apiserver")


def start_api_server(state: State, cluster: str) -> None:
    """Start the cluster's API server at its old address; returns when it is ready.

    Raises: SandboxError.
    """
    order(state.home, "start", f"{cluster}/kube-apiserver")


def order(home: Path, verb: str, part: str) -> None:
    """Give one order (stop, kill or start) for one part, named as in the state, and wait until it is done.

    Raises: SandboxError when the sandbox is not running, or could not do it.
    """
    try:
        with _address(home) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(address)
            connection.sendall(json.dumps({"do": verb, "part": part}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
    except (OSError, ValueError) as error:
        raise SandboxError(f"The sandbox in {home} does not take orders. Is it running?") from error
    if answer["error"]:
        raise SandboxError(answer["error"])


def listening_socket(home: Path) -> socket.socket:
    """The keeper's end."""
    (home / "control.sock").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _address(home) as address:
        listener.bind(address)
    return listener


@contextlib.contextmanager
def _address(home: Path) -> Iterator[str]:
    """The socket's path by way of an open directory: a socket path may have 107 characters, a home may have more."""
    directory = os.open(home, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/control.sock"
    finally:
        os.close(directory)
