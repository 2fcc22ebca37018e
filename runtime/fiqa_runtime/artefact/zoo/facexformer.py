"""FaceXFormer's landmark network, which DSL-FIQA needs, at both of its input sizes."""

from __future__ import annotations

from dataclasses import replace

from fiqa_runtime.artefact.spec import Checkpoint, InputSpec, ModelSpec, OutputSpec

FACEXFORMER = ModelSpec(
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

FACEXFORMER_512 = replace(
    FACEXFORMER,
    name="facexformer-512",
    input=replace(FACEXFORMER.input, height=512, width=512),
    macs=97_949_012_480,
    max_batch=1,
    notes=("same weights at 512 x 512: the first pass of DSL-FIQA's preparation, which levels the eyes",),
)
