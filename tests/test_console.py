"""What the commands share: folders are tried without touching what lies there, JSON is read by every reader."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from fiqa_runtime.console import check_output_folder, write_json
from fiqa_runtime.errors import InputError


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
    assert json.loads((tmp_path / "s.json").read_text()) == {"score": 0.5, "path": "a"}
