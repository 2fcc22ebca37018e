"""A network file for an ONNX file of others that is fed as a network of this project is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.artefact.zoo import MODELS, find_model
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import write_text


def network_file_like(artefact: Path, name: str, licence: str | None, folder: Path) -> Path:
    """Write a network file for `artefact`, fed as the network `name`, to `folder`, and return its path.

    Its first output is the score. Raises InputError where there is no such file, for an unknown network and for one
    whose crops five landmarks do not give.
    """
    if not artefact.is_file():
        raise InputError(f"there is no ONNX file {artefact}; check the spelling")
    spec = find_model(name)
    if spec.task != "quality" or spec.input.sampling is not None or spec.input.height is None:
        raise InputError(f"{spec.name} is not fed one crop at a time; choose a quality network that is")
    own = re.sub(r"[^a-z0-9.]+", "-", artefact.stem.lower()).strip("-.") or "network"
    own = f"{own}-as-{spec.name}" if own in MODELS else own
    path = folder / f"{own}.toml"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, _toml(own, artefact, spec.input, licence or "not stated"))
    return path


def _toml(name: str, artefact: Path, spec: InputSpec, licence: str) -> str:
    values = {"name": name, "framing": spec.framing, "licence": licence, "source": artefact.name}
    fed = {
        "size": [spec.height, spec.width],
        "colour": spec.colour,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "resize": spec.resize,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    lines += ["", "[input]", *(f"{key} = {json.dumps(value)}" for key, value in fed.items())]
    lines += ["", "[[outputs]]", 'name = "score"', "", "[reference]", f"onnx = {json.dumps(str(artefact.absolute()))}"]
    return "\n".join([*lines, ""])
