"""CR-FIQA in two sizes."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

_HALF = (127.5, 127.5, 127.5)


def _cr_fiqa(size: str, parameters: int, macs: int, step: int, folder: str) -> ModelSpec:
    return ModelSpec(
        name=f"cr-fiqa-{size}",
        family="cr_fiqa",
        task="quality",
        input=InputSpec(112, 112, "RGB", _HALF, _HALF, "opencv-bilinear", "arcface-112"),
        outputs=(OutputSpec("score", "score"),),
        parameters=parameters,
        macs=macs,
        licence="CC BY-NC 4.0: non-commercial use only (Fraunhofer IGD)",
        source="Boutros et al.: CR-FIQA, CVPR 2023; github.com/fdbtrs/CR-FIQA",
        weights={
            "official": (Checkpoint(f"{step}backbone.pth", page=f"https://drive.google.com/drive/folders/{folder}"),)
        },
        notes=(
            "unbounded: values above 1 are normal; S and L are different scales",
            "RGB for ordinary files; the published script's BGR default is for files saved with red and blue exchanged",
        ),
    )


CR_FIQA = (
    _cr_fiqa("s", 43_591_361, 6_309_331_456, 32572, "13bE4LP303XA_IzL1YOgG5eN0c8efHU9h"),
    _cr_fiqa("l", 65_156_673, 12_089_606_656, 181952, "1siy_3eQSBuIV6U6_9wgGtbZG2GMgVLMy"),
)
