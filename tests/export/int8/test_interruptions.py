"""An int8 step that is interrupted goes on where it was, and a search that failed is not repeated."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from fiqa_calibration.ranges import Ranges
from fiqa_export.int8.calibration import open_session
from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.system.files import sha256_file

from tests.help.int8_step import step
from tests.help.samples.int8_network import PARITY, save_network


def test_budget_that_cannot_be_met_is_a_verdict(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx")
    impossible = Budget(srcc=0.995, flips=0.01, max_abs={"score": 1e-9})
    result = step(tmp_path, budget=impossible)
    with pytest.raises(
        VerdictError, match=r"no mixture meets the budget.*max \|d\|.*left reduced and blocks it: \w+"
    ) as caught:
        result.search.require()
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    told: list[str] = []
    step(tmp_path, budget=impossible, report=lambda what, done, total: told.append(what))
    assert "measure activations" not in told
    assert told.count("judge a mixture") == 0, "what was judged serves again"
    cache = tmp_path / "ranges.part.json"
    ranges = Ranges.load(cache, sha256_file(tmp_path / "fp32.onnx"))
    narrow = {m: {name: largest / 2 for name, largest in found.items()} for m, found in ranges.ranges.items()}
    replace(ranges, ranges=narrow).save(cache)
    step(tmp_path, budget=impossible, report=lambda what, done, total: told.append(what))
    assert told.count("judge a mixture") > 0, "with other ranges it does not"


def test_mixture_that_gives_no_numbers_is_a_failed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing:
        def __init__(self, network: Path) -> None:
            self._session, self._int8 = open_session(network), network.name == "int8.onnx"

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [np.full_like(x, np.nan) if self._int8 else x for x in self._session.run(names, feed)]

    monkeypatch.setattr("fiqa_export.int8.judge.open_session", Overflowing)
    save_network(tmp_path / "fp32.onnx")
    result = step(tmp_path)
    with pytest.raises(VerdictError, match="score: not finite"):
        result.search.require()
    json.dumps(asdict(result.conversion), allow_nan=False)


def test_interrupted_step_goes_on_where_it_was(tmp_path: Path) -> None:
    save_network(tmp_path / "fp32.onnx", poisoned=True)
    told: list[str] = []

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "judge a mixture" and told.count("judge a mixture") > 3 * len(PARITY):
            raise KeyboardInterrupt
        told.append(what)

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path, report=interrupt)
    assert (tmp_path / "ranges.part.json").exists()
    assert (tmp_path / "ranges.search.json").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    whole, resumed = [], []
    step(tmp_path, report=lambda what, done, total: resumed.append(what))
    (tmp_path / "ranges.json").unlink()
    step(tmp_path, report=lambda what, done, total: whole.append(what))
    assert "measure activations" in whole
    assert "measure activations" not in resumed
    assert resumed.count("judge a mixture") < whole.count("judge a mixture")


def test_interrupted_calibration_keeps_what_was_measured(tmp_path: Path) -> None:
    """And leaves alone what stands beside an earlier artefact."""
    save_network(tmp_path / "fp32.onnx")
    for name in ("ranges.json", "small.calibration.json"):
        (tmp_path / name).write_text("of other images")

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "predict what int8 moves" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path, report=interrupt)
    shutil.copy(tmp_path / "ranges.part.json", tmp_path / "unfinished.json")
    with pytest.raises(InputError, match="was interrupted; end it with --calib FOLDER"):
        step(tmp_path, str(tmp_path / "unfinished.json"))
    assert {(tmp_path / name).read_text(encoding="utf-8") for name in ("ranges.json", "small.calibration.json")} == {
        "of other images"
    }
    told: list[str] = []
    resumed = step(tmp_path, report=lambda what, done, total: told.append(what))
    assert "measure activations" not in told
    assert "predict what int8 moves" in told
    assert not (tmp_path / "ranges.part.json").exists()
    manifest = json.loads((tmp_path / "small.calibration.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == resumed.conversion.calibration
    (tmp_path / "ranges.json").unlink()
    assert step(tmp_path).conversion == resumed.conversion
