"""fiqa-eval run: what is wrong with a plan is said in one line, before anything is computed where that can be."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, write_bin, write_recogniser

SET = '[[sets]]\nname = "bin"\nsource = "lfw.bin"\n'
QUALITY = '[[qualities]]\nengine = "{engine}"\n'
RECOGNISER = '[[recognisers]]\nname = "net"\nnetwork = "net.onnx"\n'
OPINIONS = '[[opinions]]\nname = "mos"\nlabels = "labels.csv"\n'
PLANS: dict[str, tuple[str, str]] = {
    "not TOML": ("title =", "plan.toml is not TOML"),
    "unknown entry": (SET + 'colour = "red"\n' + QUALITY, "colour"),
    "no quality": (SET + "qualities = []\n", "qualities"),
    "nothing to judge": (QUALITY, "sets or opinions need at least one entry"),
    "no source": ('[[sets]]\nname = "a"\n' + QUALITY, "needs one of source and prepared"),
    "two sets of a name": (SET + SET + QUALITY, "two of sets are called 'bin'"),
    "a name with a blank": (SET.replace('"bin"', '"a b"') + QUALITY, "write one without blanks and slashes"),
    "set that is gone": (SET.replace("lfw.bin", "gone.bin") + QUALITY, "gone.bin for the set bin; check the path"),
    "two engines of a name": (SET + QUALITY + QUALITY, "two qualities are called ediffiqa-t.fp32"),
    "no engine": (SET + '[[qualities]]\nengine = "none.onnx"\n', "no artefact at none.onnx"),
    "recogniser without preset": (SET + RECOGNISER + QUALITY, "has no card, so nothing says how it is fed"),
    "damaged set": (SET.replace("lfw", "damaged") + QUALITY, "damaged.bin"),
    "labels out of range": (OPINIONS + "range = [0, 1]\n" + QUALITY, "1 of 8 opinion scores are outside 0 to 1, as 7"),
    "draws": (SET + QUALITY + "[discard]\nbootstrap = -1\n", "bootstrap"),
    "rate": (SET + RECOGNISER + 'preset = "arcface"\n' + QUALITY + "[discard]\nfmr = [0.0]\n", "starting error is 0"),
}


@pytest.mark.parametrize("case", PLANS)
def test_a_plan_that_cannot_be_run(evaluate: Invoke, seeded_engine: Path, tmp_path: Path, case: str) -> None:
    write_bin(tmp_path / "lfw.bin", bin_content(4, 2))
    (tmp_path / "damaged.bin").write_bytes((tmp_path / "lfw.bin").read_bytes()[:-400])
    write_recogniser(tmp_path / "net.onnx")
    for place in range(8):
        cv2.imwrite(str(tmp_path / f"{place}.png"), seeded_image(place, 112, 112))
    lines = [f"{place}.png,{place / 10 if place < 7 else 7}" for place in range(8)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,mos", *lines]))
    text, part = PLANS[case]
    head = 'title = "bad"\n' if "qualities = " not in text else 'title = "bad"\nqualities = []\n'
    text = text.replace("qualities = []\n", "")
    run = '[run]\nbackend = "onnxruntime"\nthreads = 1\n'
    (tmp_path / "plan.toml").write_text(head + text.format(engine=seeded_engine) + run)
    result = evaluate("run", tmp_path / "plan.toml")
    assert result.is_one_line(part), result
