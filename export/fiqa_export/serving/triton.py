"""Adds an artefact, its card and a configuration to a model repository of NVIDIA Triton.

    <folder>/ediffiqa-t-fp16/config.pbtxt
    <folder>/ediffiqa-t-fp16/1/ediffiqa-t.fp16.onnx        (and its .data file, where there is one)
    <folder>/ediffiqa-t-fp16/1/ediffiqa-t.fp16.onnx.json   the card

Files keep their names, so that the data file is found and ``fiqa-score --self-test --engine`` works on the served
artefact. The client does the preprocessing that the card describes. Source of the layout and fields: Triton's model
configuration (`model_config.proto`).
"""

from __future__ import annotations

from pathlib import Path

from fiqa_runtime.artefact.card import Card, built_for
from fiqa_runtime.artefact.spec import Framing, OutputSpec
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.crop_sampling import SLOTS

from fiqa_export.serving.copying import max_batch, refuse_plan
from fiqa_export.serving.repository import add_model

MAX_QUEUE_DELAY = 1000
"""Microseconds that a request may wait for others to share its batch."""
ANY = -1
"""Stands for a dimension that requests may choose."""
VERSION_COMPATIBLE = "# Start tritonserver with --backend-config=tensorrt,version-compatible=true for this plan.\n"
LANDMARK_VALUES = 136
HEAD_CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""Channels of YuNet's outputs, by the part of their name before the stride."""
CASCADE_CHANNELS = {"probability": 1, "offsets": 4, "points": 10}
"""Channels of the outputs of MTCNN's networks."""


def write_triton(artefact: Path, card: Card, folder: Path) -> Path:
    """Add `artefact` with its card to the model repository `folder`; returns the model's folder there.

    Each export becomes the next version, the only one that Triton then serves. An artefact that is there already is not
    copied again. Raises UnsupportedError where Triton has no backend for the artefact, InputError where `folder` cannot
    be written.
    """
    artefact = artefact.resolve()
    return add_model(folder / card.served_name, triton_config(artefact.name, card), artefact, card)


def triton_config(file: str, card: Card) -> str:
    """``config.pbtxt`` for the artefact called `file`; raises UnsupportedError where Triton cannot serve it."""
    refuse_plan(file, card, "Triton")
    image = _image_dims(card)
    raw = card.input.raw
    inputs = [tensor(card.input.name, (*image[1:], 3) if raw else image, "TYPE_UINT8" if raw else "TYPE_FP32")]
    if card.input.sampling is not None and card.input.sampling.landmarks == "input":
        inputs.append(tensor("landmarks", (SLOTS,)))
    outputs = [tensor(output.name, _output_dims(output, card.input.framing, *image[1:])) for output in card.outputs]
    return f"""\
{VERSION_COMPATIBLE if card.plan and card.plan.flags.version_compatible else ""}\
name: "{card.served_name}"
backend: "{"tensorrt" if card.format == "plan" else "onnxruntime"}"
default_model_filename: "{file}"
max_batch_size: {max_batch(card)}
input [{listed(inputs)}]
output [{listed(outputs)}]
dynamic_batching {{ max_queue_delay_microseconds: {MAX_QUEUE_DELAY} }}
instance_group [ {{ count: 1 kind: {"KIND_GPU" if card.format == "plan" else "KIND_AUTO"} }} ]
version_policy: {{ latest {{ num_versions: 1 }} }}
"""


def tensor(name: str, dims: tuple[int, ...], kind: str = "TYPE_FP32") -> str:
    """An entry of the list of inputs or outputs; `dims` without the batch."""
    return f'{{ name: "{name}" data_type: {kind} dims: [ {", ".join(map(str, dims))} ] }}'


def listed(tensors: list[str]) -> str:
    """What stands between the brackets of that list."""
    return ",".join(f"\n  {tensor}" for tensor in tensors) + "\n"


def _image_dims(card: Card) -> tuple[int, int, int]:
    """Channels, height, width: those of the network, or of a plan's profile where it fixes them."""
    height, width = card.input.height or ANY, card.input.width or ANY
    if card.format == "plan":
        profile = built_for(card).profile[card.input.name]
        pairs = list(zip(profile.min, profile.max, strict=True))
        sides = pairs[1:3] if card.input.raw else pairs[2:]
        height, width = (low if low == high else ANY for low, high in sides)
    return 3, height, width


def _output_dims(output: OutputSpec, framing: Framing, height: int, width: int) -> tuple[int, ...]:
    if output.kind == "score":
        return (1,)
    if output.kind == "map":
        return (1, height, width)
    if output.kind == "landmarks":
        return (LANDMARK_VALUES,)
    if output.name in CASCADE_CHANNELS:
        channels = CASCADE_CHANNELS[output.name]
        return (channels, _cells(height), _cells(width)) if framing == "photo" else (channels,)
    if output.kind == "head":
        kind, stride = output.name.rsplit("_", 1)
        cells = ANY if ANY in (height, width) else height * width // int(stride) ** 2
        return (cells, HEAD_CHANNELS[kind])
    raise UnsupportedError(f"the card does not say how large '{output.name}' is; Triton needs that: leave out --triton")


def _cells(side: int) -> int:
    """Cells of MTCNN's first network along a side: a convolution of 3, a halving that rounds up, two more of 3."""
    return ANY if side == ANY else -(-(side - 2) // 2) - 4
