"""Writes an artefact, its card and a configuration for NVIDIA DeepStream's nvinfer into a folder.

nvinfer normalises with one factor and one offset per channel, ``y = net-scale-factor * (x - offsets[c])``, in float32
on 8-bit pixels in the colour order of ``model-color-format``. For networks that are normalised in this way, that is bit
for bit what :func:`fiqa_runtime.images.preprocess.prepare` does to a crop of the network's size; other networks are
refused. All other differences from this project's runtime stand at the top of the configuration. Source: the
Gst-nvinfer manual.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from fiqa_runtime.artefact.card import Card, built_for
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.artefact.zoo import GROUPS
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.system.files import write_text
from fiqa_runtime.terminal.outputs import check_output_folder

from fiqa_export.serving.copying import copy_artefact, max_batch, refuse_plan

LINE = 116
PHOTO_SIZE = (640, 640)
"""Height and width that frames are scaled to for networks without a size of their own."""
COLOURS = {"RGB": 0, "BGR": 1}
NETWORK_MODES = {"fp32": 0, "fp16": 2}
"""nvinfer's numbers. int8 (1) needs a calibration table, which explicitly quantised files do not have."""
ALIGNED = (
    "Alignment cannot be expressed. nvinfer cuts the detector's box and stretches it to the input; the network expects "
    "{framing}. Scores of such boxes are not the scores of this project. To keep them, align in an element of your own "
    "before this one, feed its crops of {width} x {height} as frames, and set process-mode=1."
)
PHOTO = (
    "Frames are scaled into {width} x {height}, black at the bottom and on the right; fiqa-score takes them unscaled, "
    "so small faces differ. The head outputs are raw: decode them as fiqa_runtime/faces/yunet.py does."
)
SAMPLED = (
    "One input is one crop of {width} x {height} out of a portrait of 512 x 512. The score of the picture is the mean "
    "over {crops} crops from a seeded sequence, which cannot be expressed."
)
RESIZES = {
    "pillow-bilinear": "here with Pillow's anti-aliased bilinear filter",
    "pillow-bicubic": "here with Pillow's anti-aliased bicubic filter",
    "opencv-bilinear": "here with OpenCV's bilinear filter",
    "opencv-cubic-float": "here with OpenCV's bicubic filter, after the normalisation and in float32",
}
RESIZED = (
    "Images of another size are scaled by DeepStream's bilinear filter, {resize}: pixels then differ. "
    "At {width} x {height} nothing is scaled and the tensor is equal bit for bit."
)
RAW = "Outputs arrive as raw tensors (NvDsInferTensorMeta): {outputs}. nvinfer makes no label and draws nothing."
OWN_ENGINE = (
    "nvinfer builds an engine of its own from the ONNX file: the parity verdict on the card is not about that one. "
    "Build the plan with fiqa-export --target tensorrt on the device, by the TensorRT of its DeepStream, and hand over "
    "that."
)


def write_deepstream(artefact: Path, card: Card, folder: Path) -> Path:
    """Write ``config_infer_<model>.<precision>.txt`` to `folder`, beside copies of `artefact` and its card.

    Returns the configuration's path. Raises UnsupportedError where nvinfer cannot feed or load the artefact,
    InputError where `folder` cannot be written.
    """
    artefact = artefact.resolve()
    configuration = deepstream_config(artefact.name, card)
    check_output_folder(folder)
    copy_artefact(artefact, card, folder)
    path = folder / f"config_infer_{card.model}.{card.precision}.txt"
    write_text(path, configuration)
    return path


def deepstream_config(file: str, card: Card) -> str:
    """nvinfer's configuration for the artefact called `file`; raises UnsupportedError where it cannot be one."""
    _refuse(file, card)
    height, width = _size(card)
    photo = frame_of(card.input).landmarks == 0
    keys = {
        "gpu-id": 0,
        "gie-unique-id": 1 if photo else 2,
        "process-mode": 1 if photo else 2,
        "network-type": 100,
        "output-tensor-meta": 1,
        "model-engine-file" if card.format == "plan" else "onnx-file": file,
        **({} if card.format == "plan" else {"network-mode": NETWORK_MODES[card.precision]}),
        "batch-size": max_batch(card),
        "infer-dims": f"3;{height};{width}",
        "model-color-format": COLOURS[card.input.colour],
        "net-scale-factor": _factor(card.input),
        "offsets": ";".join(str(np.float32(mean)) for mean in card.input.mean),
        "maintain-aspect-ratio": int(photo),
        "symmetric-padding": 0,
        "scaling-filter": 1,
        **({} if photo else {"operate-on-gie-id": 1}),
    }
    lines = [f"# {line}" for line in _header(card, height, width)]
    return "\n".join([*lines, "", "[property]", *(f"{key}={value}" for key, value in keys.items()), ""])


def _refuse(file: str, card: Card) -> None:
    spec = card.input
    refuse_plan(file, card, "DeepStream")
    if card.model in GROUPS["mtcnn"]:
        raise UnsupportedError(
            f"{card.model} is one of three networks that look for faces one after the other, which nvinfer does not "
            "do; let YuNet find the faces there: export yunet-s"
        )
    if spec.sampling is not None and spec.sampling.landmarks == "input":
        raise UnsupportedError(
            f"{card.model} takes landmarks beside the image, nvinfer feeds images only; export dsl-fiqa-visible"
        )
    if spec.raw:
        raise UnsupportedError(f"{file} normalises its input, and nvinfer does so too; export it without --raw-input")
    if len(set(spec.std)) > 1:
        off = (max(spec.std) - min(spec.std)) / (max(spec.std) + min(spec.std))
        raise UnsupportedError(
            f"{card.model} divides each channel by a number of its own ({', '.join(f'{s:.2f}' for s in spec.std)}), "
            f"nvinfer has one net-scale-factor and would be off by {off:.1%}; serve it with --triton"
        )
    if card.format == "onnx" and card.precision not in NETWORK_MODES:
        raise UnsupportedError(
            f"nvinfer would build {file} as FP16, since it wants a calibration table for int8; "
            "build the plan first: --target tensorrt"
        )


def _size(card: Card) -> tuple[int, int]:
    """Height and width of the input; for a plan the size that it was tuned for."""
    if card.format == "plan":
        height, width = built_for(card).profile[card.input.name].opt[2:]
        return height, width
    return card.input.height or PHOTO_SIZE[0], card.input.width or PHOTO_SIZE[1]


def _factor(spec: InputSpec) -> str:
    """The float32 factor of the runtime, with enough digits to be read back as the same number."""
    return np.format_float_positional(np.float32(1 / spec.std[0]), unique=True, trim="0")


def _header(card: Card, height: int, width: int) -> list[str]:
    spec = card.input
    parts = [
        f"{card.model} {card.precision} for DeepStream's nvinfer. Written by fiqa-export, not run on DeepStream.",
        f"Licence of the weights: {card.licence}.",
        "Not the same as in fiqa-score:",
        PHOTO if frame_of(spec).landmarks == 0 else ALIGNED,
        *([SAMPLED] if spec.sampling else []),
        *([RESIZED] if spec.resize in RESIZES else []),
        RAW,
        *([OWN_ENGINE] if card.format == "onnx" else []),
    ]
    values = {
        "height": height,
        "width": width,
        "framing": frame_of(spec).words,
        "resize": RESIZES.get(spec.resize),
        "crops": spec.sampling.crops if spec.sampling else None,
        "outputs": ", ".join(output.name for output in card.outputs),
    }
    return [line for part in parts for line in textwrap.wrap(part.format(**values), LINE)]
