"""DSL-FIQA, with its landmark input and with that folded in."""

from __future__ import annotations

from dataclasses import replace

from fiqa_runtime.artefact.spec import Checkpoint, CropSampling, InputSpec, ModelSpec, OutputSpec

_HALF = (127.5, 127.5, 127.5)
_PAGE = "https://drive.google.com/drive/folders/1SQ40NDDGQB4g-sk-uBcRcGnEKrUhQSDt"


def _scenario(scenario: str) -> tuple[Checkpoint, ...]:
    return (
        Checkpoint(
            f"dsl-fiqa/{scenario}/DE.pt",
            page=_PAGE,
            prefix="de.",
            may_miss=("mlp.*",),
        ),
        Checkpoint(
            f"dsl-fiqa/{scenario}/IQA.pt",
            page=_PAGE,
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


DSL_FIQA = ModelSpec(
    name="dsl-fiqa",
    family="dsl_fiqa",
    task="quality",
    input=InputSpec(384, 384, "RGB", _HALF, _HALF, "none", "portrait-512", sampling=CropSampling(20, 20, "input")),
    outputs=(OutputSpec("score", "score"),),
    parameters=252_688_548,
    macs=120_687_253_008,
    licence="none stated for code or weights (all rights reserved)",
    source="Chen et al.: DSL-FIQA, CVPR 2024; github.com/DSL-FIQA/DSL-FIQA",
    weights={scenario: _scenario(scenario) for scenario in ("gfiqa", "cgfiqa", "custom")},
    max_batch=4,
    notes=(
        "a picture's score is the mean over 20 crops of 384 x 384 from the authors' seeded sequence, begun anew for "
        "every picture; the authors' script goes on with it, so that its scores depend on the order of the pictures",
    ),
)

DSL_FIQA_VISIBLE = replace(
    DSL_FIQA,
    name="dsl-fiqa-visible",
    input=replace(DSL_FIQA.input, sampling=CropSampling(20, 20, "constant")),
    notes=(
        *DSL_FIQA.notes,
        "the landmark network is folded to its output for 68 visible landmarks: exact, and less than half the bytes",
        "refuses pictures whose landmarks are known not to be visible in every crop",
    ),
)
