"""A sandbox with clouds and the console beside it, for the checks that need all of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from bench import stack
from sandbox.state import State, read_state


@contextmanager
def site() -> Iterator[tuple[State, str]]:
    """A sandbox with clouds and the console beside it, thrown away after; this process works on the same rows.

    The console's keys are those that it makes itself: none is in anybody's environment. Its temporary files are in a
    folder of its own.
    """
    with tempfile.TemporaryDirectory(prefix="drydock-locations-") as made:
        var = Path(made)
        os.environ.update(stack.environment(var, 0))
        for name in ("SECRET_KEY", "CONSOLE_KEYS"):
            os.environ.pop(name, None)
        with stack.sandbox(var, "--clouds"):
            state = read_state(var / "sandbox")
            assert state is not None
            assert state.clouds is not None
            os.environ |= {"AWS_ENDPOINT_URL_STS": state.clouds.sts, "GCS_ENDPOINT_URL": state.clouds.google}
            (var / "tmp").mkdir()
            with stack.console(var, {"TMPDIR": str(var / "tmp")}) as url:
                django.setup()
                yield state, url


def folder() -> Path:
    """The console's, while there is a site."""
    return Path(os.environ["DRYDOCK_VAR"])
