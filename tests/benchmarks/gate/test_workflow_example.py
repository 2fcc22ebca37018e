"""The workflow for GitHub Actions that users copy: its commands run, and it is YAML."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import fiqa_benchmarks.cli
import fiqa_export.cli
import pytest
from fiqa_benchmarks.gate.budget import BUDGETS
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import invoker
from tests.help.places import EXAMPLES

QUICK = ("--backend", "opencv", "--threads", "1", "--rounds", "1")


def workflow_commands() -> list[list[str]]:
    lines = (EXAMPLES / "github-actions.yml").read_text(encoding="utf-8").splitlines()
    runs = [line.split("- run: ", 1)[1] for line in lines if "- run: " in line]
    return [shlex.split(command) for command in runs if command.startswith("fiqa-")]


def test_the_workflow_example_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("faces").mkdir()
    for index in range(4):
        cv2.imwrite(f"faces/{index}.png", seeded_image(index, 112, 112))
    shutil.copy(EXAMPLES / "budget.toml", "budget.toml")
    mains = {"fiqa-export": fiqa_export.cli.main, "fiqa-bench": fiqa_benchmarks.cli.main}
    commands = workflow_commands()
    assert [command[0] for command in commands] == ["fiqa-export", "fiqa-bench"] * 2
    for program, *arguments in commands:
        quick = QUICK if program == "fiqa-bench" else ()
        result = invoker(mains[program], capsys, monkeypatch)(*arguments, *quick)
        assert result.code == 0, result.err
    assert len(ElementTree.parse("gate.xml").getroot().findall("testsuite/testcase")) == len(BUDGETS)
    assert json.loads(Path("gate.json").read_text(encoding="utf-8"))["gate"]["checks"]


def test_the_workflow_example_is_yaml() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    assert list(workflow["jobs"]) == ["baseline", "gate"]
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert [shlex.split(run) for run in runs if run.startswith("fiqa-")] == workflow_commands()
