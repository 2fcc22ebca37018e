"""What ``fiqa-score`` loads for a few images: one library that runs networks, and nothing that it does not use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from fiqa_runtime.images.seeded import seeded_image

WARM = """
import sys
from fiqa_runtime.scoring import choice
from fiqa_runtime.scoring.trial import Trial

opening = {{"onnxruntime": 200.0, "openvino": 400.0, "opencv": 50.0}}
choice.try_backend = lambda name, *rest: Trial(name, True, "right", 2.0, "float32", opening=opening[name])
sys.argv = ["fiqa-score", "--engine", {engine!r}, "--aligned", {crop!r}]
from fiqa_runtime.cli import main

try:
    main()
except SystemExit as end:
    assert not end.code
print(*sys.modules, sep="\\n", file=sys.stderr)
"""
UNUSED = (
    *("onnxruntime", "openvino", "torch", "onnx", "scipy", "pyarrow", "ray"),
    *("http.client", "multiprocessing.pool", "concurrent.futures.process", "rich.progress", "rich.status"),
    *("fiqa_runtime.diagnosis", "fiqa_runtime.live", "fiqa_runtime.serve"),
    *("fiqa_runtime.networks", "fiqa_runtime.command.worker", "fiqa_runtime.command.overlay_files"),
    *("fiqa_runtime.command.diagnose", "fiqa_runtime.system.download"),
)


@pytest.fixture(scope="module")
def loaded(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules that a run on one crop loads."""
    folder = tmp_path_factory.mktemp("warm")
    crop = folder / "crop.png"
    cv2.imwrite(str(crop), seeded_image(0, 112, 112))
    code = WARM.format(engine=str(seeded_engine), crop=str(crop))
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert str(crop) in run.stdout
    return set(run.stderr.split())


@pytest.mark.parametrize("module", UNUSED)
def test_what_one_crop_does_not_need_is_not_loaded(loaded: set[str], module: str) -> None:
    assert "fiqa_runtime.backends.opencv" in loaded
    assert module not in loaded
