"""Every command that runs a network has `--device`, and hands it on to where the network is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import fiqa_benchmarks.cli
import fiqa_evaluation.cli
import fiqa_runtime.cli
import fiqa_runtime.serve_cli
import fiqa_runtime.watch_cli
import pytest
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Outcome, invoker
from tests.help.evaluation.data_sets import bin_content, write_bin, write_recogniser
from tests.help.gpu.fake_devices import lack_everything

Typed = Callable[..., Outcome]


def of_eval(command: str, folder: Path, engine: Path, evaluate: Typed) -> list[object]:
    assert evaluate("prepare", write_bin(folder / "lfw.bin", bin_content(4, 2)), "--out", folder).code == 0
    if command == "score":
        return [command, folder / "lfw", "--engine", engine]
    if command == "embed":
        network = write_recogniser(folder / "net.onnx")
        return [command, folder / "lfw", "--recogniser", network, "--preset", "arcface"]
    cv2.imwrite(str(folder / "a.png"), seeded_image(0, 112, 112))
    cv2.imwrite(str(folder / "b.png"), seeded_image(1, 112, 112))
    (folder / "mos.csv").write_text("image,mos\na.png,0.2\nb.png,0.4\n")
    return [command, folder / "mos.csv", "--engine", engine]


MAINS = {
    "fiqa-score": fiqa_runtime.cli.main,
    "fiqa-watch": fiqa_runtime.watch_cli.main,
    "fiqa-serve": fiqa_runtime.serve_cli.main,
    "fiqa-bench": fiqa_benchmarks.cli.main,
    "score": fiqa_evaluation.cli.main,
    "embed": fiqa_evaluation.cli.main,
    "opinions": fiqa_evaluation.cli.main,
}


@pytest.mark.parametrize("command", MAINS)
def test_a_device_that_is_not_here_is_refused(
    command: str,
    seeded_engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lack_everything(monkeypatch)
    typed = invoker(MAINS[command], capsys, monkeypatch)
    cv2.imwrite(str(tmp_path / "crop.png"), seeded_image(0, 112, 112))
    arguments = {
        "fiqa-score": [tmp_path / "crop.png", "--aligned", "--engine", seeded_engine],
        "fiqa-watch": ["-", "--raw", "64x64@30", "--engine", seeded_engine],
        "fiqa-serve": ["--engine", seeded_engine, "--port", 0],
        "fiqa-bench": ["--engine", seeded_engine],
    }.get(command) or of_eval(command, tmp_path, seeded_engine, typed)
    for device, said in (("intel-npu", "nothing here runs on intel-npu: OpenVINO"), ("gpu", "unknown device 'gpu'")):
        done = typed(*arguments, "--device", device)
        assert done.code == 2, done
        assert said in done.err, done
        assert "Traceback" not in done.err
