"""Adds two models to a Triton repository that its python backend runs by ``fiqa_runtime``, on a CPU too.

    <folder>/ediffiqa-t-fp32-crops/config.pbtxt, 1/model.py, 1/<artefact and card>
    <folder>/ediffiqa-t-fp32-faces/config.pbtxt, 1/model.py, 1/<artefact and card>, 1/<detector>

The first takes crops, the second whole photos; `python_backend/` says how. Source of the interface: the README of
Triton's python backend.
"""

from __future__ import annotations

from pathlib import Path

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import InputSpec, OutputSpec, output_of
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.framing import frame_of

from fiqa_export.serving.repository import add_model
from fiqa_export.serving.triton import ANY, MAX_QUEUE_DELAY, listed, tensor

CODE = Path(__file__).parent / "python_backend"
MOST_PHOTOS = 16
"""Photos of one request."""
FACES = {"box": (ANY, 4), "landmarks": (ANY, 5, 2), "confidence": (ANY,), "quality": (ANY,)}
"""Outputs about faces, of which a photo may have any number."""


def refuse_faceless(model: str, spec: InputSpec, outputs: tuple[OutputSpec, ...]) -> None:
    """Raise UnsupportedError where the network called `model` scores no crop that a face detector can give it."""
    if output_of("score", outputs) is None:
        raise UnsupportedError(f"{model} gives no quality scores; leave out --with-faces")
    if frame_of(spec).cut is None or spec.height is None or spec.width is None:
        raise UnsupportedError(
            f"{model} scores {frame_of(spec).words}, which YuNet's landmarks do not give; leave out --with-faces, or "
            "serve it with fiqa-serve"
        )


def write_with_faces(artefact: Path, card: Card, folder: Path, detector: Path) -> tuple[Path, Path]:
    """Add the models for crops and for photos to the repository `folder`; returns their folders.

    `artefact` is an ONNX file, `detector` a YuNet file. Versions are kept as :func:`add_model` says. Raises
    UnsupportedError as :func:`refuse_faceless` does, InputError where `folder` cannot be written.
    """
    refuse_faceless(card.model, card.input, card.outputs)
    artefact = artefact.resolve()
    crops, faces = (f"{card.served_name}-{what}" for what in ("crops", "faces"))
    more = {"model.py": CODE / "faces.py", detector.name: detector}
    return (
        add_model(folder / crops, crops_config(artefact.name, card), artefact, card, {"model.py": CODE / "crops.py"}),
        add_model(folder / faces, faces_config(artefact.name, card, detector.name), artefact, card, more),
    )


def crops_config(artefact: str, card: Card) -> str:
    """``config.pbtxt`` of the model for crops, which takes what ``fiqa-serve`` takes."""
    height, width = card.input.height or ANY, card.input.width or ANY
    inputs = [tensor(card.input.name, (height, width, 3), "TYPE_UINT8")]
    outputs = [tensor(output_of("score", card.outputs) or "score", (1,))]
    dynamic = f"dynamic_batching {{ max_queue_delay_microseconds: {MAX_QUEUE_DELAY} }}\n"
    head = _head(f"{card.served_name}-crops", card.max_batch, {"artefact": artefact})
    return f"{head}input [{listed(inputs)}]\noutput [{listed(outputs)}]\n{dynamic}"


def faces_config(artefact: str, card: Card, detector: str) -> str:
    """``config.pbtxt`` of the model for photos. Photos are worked on one by one, so requests are not put together."""
    outputs = [
        tensor("count", (1,), "TYPE_INT32"),
        *(tensor(name, dims) for name, dims in FACES.items()),
        tensor("error", (1,), "TYPE_STRING"),
    ]
    head = _head(f"{card.served_name}-faces", MOST_PHOTOS, {"artefact": artefact, "detector": detector})
    return f"{head}input [{listed([tensor('photo', (1,), 'TYPE_STRING')])}]\noutput [{listed(outputs)}]\n"


def _head(name: str, max_batch: int, parameters: dict[str, str]) -> str:
    lines = [
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
        for key, value in {**parameters, "backend": "auto"}.items()
    ]
    return f"""\
name: "{name}"
backend: "python"
max_batch_size: {max_batch}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
version_policy: {{ latest {{ num_versions: 1 }} }}
""" + "".join(f"{line}\n" for line in lines)
