"""eDifFIQA in four sizes, and the stand-in weights that this project trained for the smallest."""

from __future__ import annotations

from dataclasses import replace

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

_HALF = (127.5, 127.5, 127.5)

_EDIFFIQA = ModelSpec(
    name="ediffiqa-t",
    family="ediffiqa",
    task="quality",
    input=InputSpec(112, 112, "RGB", _HALF, _HALF, "pillow-bilinear", "arcface-112"),
    outputs=(OutputSpec("score", "score"),),
    parameters=1_726_849,
    macs=221_687_296,
    licence="none stated by the authors (all rights reserved)",
    source="Babnik, Peer, Struc: eDifFIQA, IEEE TBIOM 2024; github.com/LSIbabnikz/eDifFIQA",
    weights={},
    notes=("trained against labels in [0, 1], not clipped; OpenCV Zoo: good LFW images score above 0.5",),
)


STANDIN = Checkpoint(
    "ediffiqa-t.standin.pth",
    page="weights/standin/README.md of this repository",
    sha256="d2d23aa98ca485a4ebe1b606f15832eeba054085c0460e7a35dd90cebe30cf6d",
    licence="Apache-2.0 (trained by this project; not a published model)",
    notes=(
        "stand-in weights: eDifFIQA(T)'s architecture trained by this project on a handful of pictures; they rank "
        "technical degradation, are not a published model and are not for production",
        "about 1 for an untouched crop, about 0 for a ruined one; not clipped",
    ),
)
"""Trained weights that come with this project, for trying the toolchain; `weights/standin/README.md` is their card."""


def _ediffiqa(size: str, parameters: int, macs: int, max_batch: int = 32) -> ModelSpec:
    checkpoint = Checkpoint(
        file=f"ediffiqa{size}.pth",
        page=f"https://huggingface.co/LSIbabnikz/eDifFIQA_{size}",
        url=f"https://huggingface.co/LSIbabnikz/eDifFIQA_{size}/resolve/main/pytorch_model.bin",
    )
    stated = "none stated by the authors; OpenCV Zoo distributes this model as CC BY 4.0"
    return replace(
        _EDIFFIQA,
        name=f"ediffiqa-{size.lower()}",
        licence=stated if size == "T" else _EDIFFIQA.licence,
        parameters=parameters,
        macs=macs,
        max_batch=max_batch,
        weights={"official": (checkpoint,)} | ({"standin": (STANDIN,)} if size == "T" else {}),
    )


EDIFFIQA = (
    _ediffiqa("T", 1_726_849, 221_687_296),
    _ediffiqa("S", 24_551_937, 2_610_480_128),
    _ediffiqa("M", 44_117_185, 6_309_856_256),
    _ediffiqa("L", 65_682_497, 12_090_131_456),
)
