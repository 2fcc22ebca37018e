"""What the commands share: outputs are tried without touching what lies there, JSON is read by every reader, and
whatever goes wrong is one line."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.console import run
from fiqa_runtime.terminal.outputs import check_output_folder, check_outputs, write_json

from tests.help.commands import Invoke, invoker


def test_trying_a_folder_leaves_its_files_alone(tmp_path: Path) -> None:
    (tmp_path / ".fiqa-write-test").write_text("of another process")
    check_output_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".fiqa-write-test"]


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose a folder you may write to"):
        check_output_folder(tmp_path / "file/more")


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"score": math.nan}, str(tmp_path / "s.json"))
    assert not list(tmp_path.iterdir())
    write_json({"score": 0.5, "path": Path("a")}, str(tmp_path / "s.json"))
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == {"score": 0.5, "path": "a"}


def test_a_file_has_one_use(tmp_path: Path) -> None:
    file, link = tmp_path / "f", tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(InputError, match=r"--csv and --json are the same file .*link; name another one"):
        check_outputs([("--json", str(file)), ("--csv", link)])
    with pytest.raises(InputError, match="--csv and PATH are the same file"):
        check_outputs([("--json", "-"), ("--csv", file)], [("PATH", link), ("--detector", None)])
    check_outputs([("--json", "-"), ("--csv", file), ("--html", None)], [("PATH", tmp_path / "other")])


def test_pipes_may_be_shared_and_need_no_writable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(
        "fiqa_runtime.terminal.outputs.check_output_folder", lambda folder: pytest.fail(f"{folder} was tried")
    )
    check_outputs([("--json", tmp_path / "pipe"), ("--csv", tmp_path / "pipe")])


def test_a_name_that_is_too_long_for_an_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File name too long; choose a shorter name"):
        check_outputs([("--csv", tmp_path / ("a" * 300))])


@pytest.fixture()
def reading(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """A command that prints the file at its argument."""
    app = typer.Typer()

    @app.command()
    def read(path: Path, json: str = "") -> None:
        sys.stdout.write(path.read_text(encoding="utf-8"))

    return invoker(lambda: run(app), capsys, monkeypatch)


@pytest.mark.parametrize("arguments", [("",), ("a", "--json", ""), ("a", "--json=")])
def test_an_empty_argument_is_an_unset_variable(reading: Invoke, arguments: tuple[str, ...]) -> None:
    assert reading(*arguments).is_one_line("the argument", "is empty; is a shell variable unset?")


def test_what_the_system_refuses_is_one_line(reading: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("text")
    assert reading(tmp_path / "a").out == "text"
    assert reading(tmp_path / ("a" * 300)).is_one_line("cannot use", "File name too long; check its name")

    def forbidden(self: Path, **options: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", forbidden)
    assert reading(tmp_path / "a").is_one_line(f"cannot use {tmp_path / 'a'}: Permission denied; check")


@pytest.mark.parametrize(("stdout", "says"), [("&-", "stdout is closed"), ("/dev/full", "No space left on device")])
def test_a_stdout_that_takes_nothing(stdout: str, says: str) -> None:
    command = f"{sys.executable} -m fiqa_export.cli --list --json - >{stdout}"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert says in result.stderr
