"""What DSL-FIQA's rewrites save: operations that are not done, the same answers, and the printed tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fiqa_benchmarks.readme_tables import dsl_fiqa
from fiqa_benchmarks.readme_tables.dsl_variants import (
    BEST,
    DEAD,
    LANDMARKS,
    QUERIES,
    Variant,
    count_macs,
    keep_dead_branches,
    repeat_queries,
)
from fiqa_export.models import build
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.terminal.console import run as run_app

from tests.help.commands import invoker


def hollow() -> torch.nn.Module:
    """DSL-FIQA with shapes and without numbers."""
    with torch.device("meta"):
        reference = build("dsl-fiqa-visible").eval()
        reference._values = torch.zeros(1, 576)
    return reference


def macs(reference: torch.nn.Module) -> int:
    with torch.no_grad():
        return count_macs(lambda: reference(torch.zeros(1, 3, 384, 384, device="meta")))


def test_what_the_savings_of_dsl_fiqa_save() -> None:
    best, repeated, whole = hollow(), hollow(), hollow()
    repeat_queries(repeated)
    keep_dead_branches(whole)
    assert macs(best) == pytest.approx(MODELS["dsl-fiqa-visible"].macs, rel=1e-3)
    attention, projection = 2 * 480 * 576 * 256, 480 * 256 * 256
    assert macs(repeated) - macs(best) == 3 * (attention + projection)
    tokens = 577
    vit = 2 * (12 * tokens * 768**2 + 2 * tokens**2 * 768) + 768 * 1000
    assert macs(whole) - macs(best) == vit + 2 * 96 * 256**2


def test_repeated_queries_give_the_same_answers() -> None:
    from fiqa_export.models.dsl_fiqa import CrossAttention

    torch.manual_seed(0)
    network = hollow()
    attention = CrossAttention().double()
    network.get_submodule("iqa.decoder.0").attn = attention
    tokens, description = torch.randn(2, 576, 256).double(), torch.randn(2, 96, 256).double()
    expected = attention(tokens, description)
    repeat_queries(network)
    torch.testing.assert_close(attention(tokens, description), expected, rtol=0, atol=1e-12)


@pytest.mark.long
def test_the_tables_of_dsl_fiqa(
    seeded_engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On eDifFIQA(T), which is a thousand times smaller: every form is the same file here."""
    spec = MODELS["ediffiqa-t"]
    feed = {"input": np.zeros((4, 3, 112, 112), np.float32)}

    def forms(folder: Path) -> list[Variant]:
        path = folder / "0.onnx"
        path.write_bytes(seeded_engine.read_bytes())
        names = (BEST, QUERIES, DEAD, LANDMARKS)
        return [Variant(name, path, spec, (1 + number) * 10**9, feed) for number, name in enumerate(names)]

    monkeypatch.setattr(dsl_fiqa, "write_variants", forms)
    invoke = invoker(
        lambda: run_app(dsl_fiqa.app),
        capsys,
        monkeypatch,
    )
    result = invoke("--threads", "1", "--rounds", "1", "--json", tmp_path / "savings.json")
    assert result.code == 0, result.err
    savings, batches = result.out.strip().split("\n\n")
    assert savings.splitlines()[0] == "| time without / with | GMAC without / with | onnxruntime | openvino |"
    assert [row.split(" | ")[0] for row in savings.splitlines()[2:]] == [
        f"| {name}" for name in (QUERIES, DEAD, LANDMARKS, dsl_fiqa.ATTENTION)
    ]
    assert savings.splitlines()[2].split(" | ")[1] == "2.00 / 1.00"
    assert [row.split(" | ")[0] for row in batches.splitlines()[2:]] == ["| 1", "| 4", "| 20"]
    sizes = json.loads((tmp_path / "savings.json").read_text(encoding="utf-8"))["batches"]["onnxruntime"]
    assert sizes["1"]["peak_resident_bytes"] < sizes["20"]["peak_resident_bytes"]
    assert sizes["20"]["images_per_second"] > 0
