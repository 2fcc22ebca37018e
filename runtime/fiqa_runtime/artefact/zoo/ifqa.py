"""IFQA and IFQA++."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

_HALF = (127.5, 127.5, 127.5)
_OUTPUTS = (OutputSpec("score", "score", (0.0, 1.0)), OutputSpec("map", "map", (0.0, 1.0)))


def _drive(file_id: str) -> str:
    return f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"


IFQA = ModelSpec(
    name="ifqa",
    family="ifqa",
    task="quality",
    input=InputSpec(256, 256, "RGB", _HALF, _HALF, "opencv-bilinear", "ffhq"),
    outputs=_OUTPUTS,
    parameters=105_172_833,
    macs=26_529_038_336,
    licence="none stated (all rights reserved); part of the network is StarGAN v2 code, CC BY-NC 4.0",
    source="Jo et al.: IFQA, WACV 2023; github.com/AIM-SKKU/IFQA",
    weights={
        "official": (
            Checkpoint(
                "IFQA_Metric.pth",
                page="https://drive.google.com/file/d/1aHxF39Mdg4R2dFiF_yx8HsJHy9lJaEZP/view",
                url=_drive("1aHxF39Mdg4R2dFiF_yx8HsJHy9lJaEZP"),
                key="D",
            ),
        )
    },
    max_batch=8,
    notes=("the score is the mean of the map; scores before January 2023 were a third of it",),
)

IFQA_PLUS = ModelSpec(
    name="ifqa-plus",
    family="ifqa_plus",
    task="quality",
    input=InputSpec(224, 224, "RGB", _HALF, _HALF, "opencv-cubic-float", "ffhq"),
    outputs=_OUTPUTS,
    parameters=656_873_412,
    macs=174_496_737_280,
    licence="none stated (all rights reserved); derives from Meta's masked autoencoder, CC BY-NC 4.0",
    source="IFQA++, github.com/AIM-SKKU/IFQA; He et al.: Masked Autoencoders, CVPR 2022",
    weights={
        "official": (
            Checkpoint(
                "IFQA++_Metric.pth",
                page="https://drive.google.com/file/d/1yQ9n7oitvSQzkxwijGocpftW_SbHid7C/view",
                url=_drive("1yQ9n7oitvSQzkxwijGocpftW_SbHid7C"),
                key="D",
            ),
        )
    },
    aliases=("ifqa++",),
    max_batch=2,
)
