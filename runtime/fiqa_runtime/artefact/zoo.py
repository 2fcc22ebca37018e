"""Every network the project knows, each one entry of :data:`MODELS`.

Facts come from the publications and repositories named in each entry's ``source``; licences are those of the
weights as their authors state them.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from fiqa_runtime.artefact.spec import Checkpoint, CropSampling, InputSpec, ModelSpec, OutputSpec
from fiqa_runtime.errors import InputError

_HALF = (127.5, 127.5, 127.5)
_SCORE = OutputSpec("score", "score")
_IFQA_OUTPUTS = (OutputSpec("score", "score", (0.0, 1.0)), OutputSpec("map", "map", (0.0, 1.0)))

_EDIFFIQA = ModelSpec(
    name="ediffiqa-t",
    family="ediffiqa",
    task="quality",
    input=InputSpec(112, 112, "RGB", _HALF, _HALF, "pillow-bilinear", "arcface-112"),
    outputs=(_SCORE,),
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
    licence="Apache-2.0 (trained by this project; no published model)",
    notes=(
        "stand-in weights: eDifFIQA(T)'s architecture trained by this project on a handful of pictures; they rank "
        "technical degradation, are no published model and not for production",
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


def _cr_fiqa(size: str, parameters: int, macs: int, step: int, folder: str) -> ModelSpec:
    return ModelSpec(
        name=f"cr-fiqa-{size}",
        family="cr_fiqa",
        task="quality",
        input=InputSpec(112, 112, "RGB", _HALF, _HALF, "opencv-bilinear", "arcface-112"),
        outputs=(_SCORE,),
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


def _drive(file_id: str) -> str:
    return f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"


_IFQA = ModelSpec(
    name="ifqa",
    family="ifqa",
    task="quality",
    input=InputSpec(256, 256, "RGB", _HALF, _HALF, "opencv-bilinear", "ffhq"),
    outputs=_IFQA_OUTPUTS,
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

_IFQA_PLUS = ModelSpec(
    name="ifqa-plus",
    family="ifqa_plus",
    task="quality",
    input=InputSpec(224, 224, "RGB", _HALF, _HALF, "opencv-cubic-float", "ffhq"),
    outputs=_IFQA_OUTPUTS,
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

_DSL_PAGE = "https://drive.google.com/drive/folders/1SQ40NDDGQB4g-sk-uBcRcGnEKrUhQSDt"


def _dsl_scenario(scenario: str) -> tuple[Checkpoint, ...]:
    return (
        Checkpoint(
            f"dsl-fiqa/{scenario}/DE.pt",
            page=_DSL_PAGE,
            prefix="de.",
            may_miss=("mlp.*", "*.num_batches_tracked"),
        ),
        Checkpoint(
            f"dsl-fiqa/{scenario}/IQA.pt",
            page=_DSL_PAGE,
            prefix="iqa.",
            may_miss=(
                "*.relative_position_index",
                "swintransformer[12].layers.*.blocks.1.attn_mask",
                "vit.blocks.10.*",
                "vit.blocks.11.*",
                "vit.norm.*",
                "vit.head.*",
                "swintransformer[12].downsample.*",
                "testmlp.*",
                "decoder.*.attn.task_query",
            ),
            may_have=("style_queue", "vit.head_dist.*", "vit.pre_logits.*"),
        ),
    )


_DSL_FIQA = ModelSpec(
    name="dsl-fiqa",
    family="dsl_fiqa",
    task="quality",
    input=InputSpec(384, 384, "RGB", _HALF, _HALF, "none", "portrait-512", sampling=CropSampling(20, 20, "input")),
    outputs=(_SCORE,),
    parameters=252_688_548,
    macs=120_687_253_008,
    licence="none stated for code or weights (all rights reserved)",
    source="Chen et al.: DSL-FIQA, CVPR 2024; github.com/DSL-FIQA/DSL-FIQA",
    weights={scenario: _dsl_scenario(scenario) for scenario in ("gfiqa", "cgfiqa", "custom")},
    max_batch=4,
    notes=(
        "a picture's score is the mean over 20 crops of 384 x 384 from the authors' seeded sequence, begun anew for "
        "every picture; the authors' script goes on with it, so that its scores depend on the order of the pictures",
    ),
)

_DSL_FIQA_VISIBLE = replace(
    _DSL_FIQA,
    name="dsl-fiqa-visible",
    input=replace(_DSL_FIQA.input, sampling=CropSampling(20, 20, "constant")),
    notes=(
        *_DSL_FIQA.notes,
        "the landmark network is folded to its output for 68 visible landmarks: exact, and less than half the bytes",
        "refuses pictures whose landmarks are known not to be visible in every crop",
    ),
)

_FACEXFORMER = ModelSpec(
    name="facexformer",
    family="facexformer",
    task="landmarks",
    input=InputSpec(
        224,
        224,
        "RGB",
        (0.485 * 255, 0.456 * 255, 0.406 * 255),
        (0.229 * 255, 0.224 * 255, 0.225 * 255),
        "pillow-bicubic",
        "portrait-512",
    ),
    outputs=(OutputSpec("landmarks", "landmarks"),),
    parameters=91_985_943,
    macs=17_598_924_800,
    licence="MIT",
    source="Narayan et al.: FaceXFormer, arXiv 2403.12960; github.com/Kartik-3004/facexformer",
    weights={
        "official": (
            Checkpoint(
                "facexformer/model.pt",
                page="https://huggingface.co/kartiknarayan/facexformer",
                url="https://huggingface.co/kartiknarayan/facexformer/resolve/main/ckpts/model.pt",
                key="state_dict_backbone",
            ),
        )
    },
    max_batch=4,
)

_FACEXFORMER_512 = replace(
    _FACEXFORMER,
    name="facexformer-512",
    input=replace(_FACEXFORMER.input, height=512, width=512),
    macs=97_949_012_480,
    max_batch=1,
    notes=("same weights at 512 x 512: the first pass of DSL-FIQA's preparation, which levels the eyes",),
)

_YUNET_COMMIT = "0047ac24afb1a50a0c6105001c89d1b5b805dbf1"
_YUNET_HEADS = tuple(
    OutputSpec(f"{kind}_{stride}", "head", (0.0, 1.0) if kind in ("cls", "obj") else None)
    for kind in ("cls", "obj", "bbox", "kps")
    for stride in (8, 16, 32)
)


def _yunet(size: str, parameters: int, macs: int, sha256: str) -> ModelSpec:
    repository = "https://github.com/ShiqiYu/libfacedetection.train"
    return ModelSpec(
        name=f"yunet-{size}",
        family="yunet",
        task="detection",
        input=InputSpec(None, None, "BGR", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "none", "photo"),
        outputs=_YUNET_HEADS,
        parameters=parameters,
        macs=macs,
        licence="Apache-2.0 (training repository); OpenCV Zoo distributes its ONNX as MIT",
        source="Wu, Peng, Yu: YuNet, Machine Intelligence Research 2023; github.com/ShiqiYu/libfacedetection.train",
        weights={
            "official": (
                Checkpoint(
                    f"yunet_{size}.pth",
                    page=f"{repository}/tree/{_YUNET_COMMIT}/weights",
                    url=f"{repository}/raw/{_YUNET_COMMIT}/weights/yunet_{size}.pth",
                    sha256=sha256,
                    key="state_dict",
                ),
            )
        },
    )


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _ediffiqa("T", 1_726_849, 221_687_296),
        _ediffiqa("S", 24_551_937, 2_610_480_128),
        _ediffiqa("M", 44_117_185, 6_309_856_256),
        _ediffiqa("L", 65_682_497, 12_090_131_456),
        _cr_fiqa("s", 43_591_361, 6_309_331_456, 32572, "13bE4LP303XA_IzL1YOgG5eN0c8efHU9h"),
        _cr_fiqa("l", 65_156_673, 12_089_606_656, 181952, "1siy_3eQSBuIV6U6_9wgGtbZG2GMgVLMy"),
        _IFQA,
        _IFQA_PLUS,
        _DSL_FIQA,
        _DSL_FIQA_VISIBLE,
        _FACEXFORMER,
        _FACEXFORMER_512,
        _yunet("s", 54_608, 344_224_000, "f2688fecd5aef7d204d04ca12ff377b724978abbe5955740bc67280d99ffe4d6"),
        _yunet("n", 75_856, 542_393_600, "9c7c9e14a4d60e57491d77e4d8b0d451bd834f300e05c0dea7fd1f6533817b06"),
    )
}
"""Spec of every known network by name."""

DETECTOR = Checkpoint(
    "face_detection_yunet_2023mar.onnx",
    page="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
"""The face detector used where none is named: YuNet as OpenCV Zoo ships it (MIT)."""

FOREIGN_ARTEFACTS: dict[str, ModelSpec] = {
    "9426c899cc0f01665240cb7d9e7f98e18e24e456c178326c771a43da289bfc6a": replace(
        MODELS["ediffiqa-t"],
        input=replace(MODELS["ediffiqa-t"].input, resize="opencv-bilinear"),
        licence="CC BY 4.0 (OpenCV Zoo)",
    ),
}
"""ONNX files of others that carry no card, by SHA-256: OpenCV Zoo's `ediffiqa_tiny_jun2024.onnx`."""


def find_model(name: str) -> ModelSpec:
    """The spec called `name` (or one of its aliases); raises InputError that suggests the nearest name."""
    known = {alias: spec for spec in MODELS.values() for alias in (spec.name, *spec.aliases)}
    spec = known.get(name.lower().replace("_", "-"))
    if spec is not None:
        return spec
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
    raise InputError(f"unknown model '{name}'; did you mean '{near[0]}'? fiqa-export --list shows all of them")
