"""Keys made at first start: once, whoever comes first, readable by their owner only."""

from __future__ import annotations

import base64
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.lib import keys


def test_none_before_the_first_start(tmp_path: Path) -> None:
    assert keys.load(tmp_path) is None


def test_the_first_start_makes_them_and_the_second_leaves_them(tmp_path: Path) -> None:
    assert keys.ensure(tmp_path / "var")
    made = keys.load(tmp_path / "var")
    assert made is not None
    assert not keys.ensure(tmp_path / "var")
    assert keys.load(tmp_path / "var") == made
    assert len(base64.b64decode(made.ring)) == 32
    assert len(made.secret_key) >= 50


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    keys.ensure(tmp_path / "var")
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var" / keys.FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == [keys.FILE_NAME]


def test_they_do_not_show_themselves(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    made = keys.load(tmp_path)
    assert made is not None
    assert made.ring not in repr(made)
    assert made.secret_key not in repr(made)


def test_many_threads_make_one_pair(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: (keys.ensure(tmp_path), keys.load(tmp_path)), range(32)))
    assert sum(first for first, _ in made) == 1
    assert len({found.ring for _, found in made if found}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [keys.FILE_NAME]


@pytest.mark.slow
def test_many_processes_make_one_pair(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from console.lib import keys; print(keys.ensure(Path(sys.argv[1])))"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [process.communicate(timeout=30)[0].strip() for process in running]
    assert sorted(answers) == ["False", "False", "False", "True"]
    assert keys.load(tmp_path) is not None


def test_a_start_that_died_half_way_is_no_key(tmp_path: Path) -> None:
    (tmp_path / f"{keys.FILE_NAME}.0badcafe").write_text('{"SECRET_KEY": "half')
    assert keys.ensure(tmp_path)
    assert keys.load(tmp_path) is not None
