"""Memory of the int8 step, each network in a process of its own: the largest convolutional one, and transformers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.graph.files import size_of
from fiqa_export.graph.to_onnx import export_onnx
from fiqa_export.models import build

MOST = 2 << 30
"""Bytes above the size of the network."""
SCRIPT = """
import math
import sys
from pathlib import Path

import torch
from fiqa_benchmarks.speed.memory import peak_resident_bytes
from fiqa_calibration.parity_set import ParitySet
from fiqa_export.int8 import calibration, mixtures
from fiqa_export.int8.step import write_int8
from fiqa_export.models import build
from fiqa_runtime.artefact.facts import Budget

with torch.device("meta"):
    reference = build(sys.argv[2])
mixtures.HARMLESS = math.inf  # one mixture: all in int8
calibration.JUDGED = 4  # minutes less: images come one at a time
folder = Path(sys.argv[1])
anything = Budget(srcc=-1, flips=1, correlation=-1)
parity = ParitySet(2, [], reference.calibration_size)
files = folder / "fp32.onnx", folder / "int8.onnx"
result = write_int8(reference, *files, "seeded", parity, anything, folder / "ranges.json")
print(result.conversion.images, result.conversion.mac_share, peak_resident_bytes())
"""

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", ["ifqa", "ifqa-plus", "dsl-fiqa", "facexformer", "facexformer-512"])
def test_step_takes_less_than_two_gib_above_the_network(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Calibration, first-order effects, one mixture fitted and judged: everything that the whole search repeats."""
    fp32 = tmp_path / "fp32.onnx"
    export_onnx(load_seeded(build(name)), fp32)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), name]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    images, mac_share, peak = map(float, child.stdout.split())
    record_property("peak MiB, network included", peak / 2**20)
    assert images >= 32
    assert mac_share == 1
    assert peak <= size_of(fp32) + MOST
