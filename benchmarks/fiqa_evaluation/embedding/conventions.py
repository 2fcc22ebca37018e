"""How published recognition networks are fed: 112 x 112 crops in the standard five-point alignment.

An ONNX file of others carries no card, and a wrong colour order or range gives embeddings that look like any others.
None of these networks' weights was at hand. SFace is fed as OpenCV's own FaceRecognizerSF feeds it, which a test holds;
ArcFace, AdaFace and MagFace as their authors describe it. For ElasticFace and CurricularFace RGB is an assumption,
since that is what InsightFace's reader of the common sets gives: compare with a known result before relying on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fiqa_runtime.artefact.spec import Colour
from fiqa_runtime.errors import InputError

Convention = tuple[Colour, float, float]
"""Order of the channels, what is subtracted and what divides, in grey levels 0..255."""
CONVENTIONS: dict[str, Convention] = {
    "arcface": ("RGB", 127.5, 127.5),
    "adaface": ("BGR", 127.5, 127.5),
    "elasticface": ("RGB", 127.5, 127.5),
    "curricularface": ("RGB", 127.5, 127.5),
    "magface": ("BGR", 0.0, 255.0),
    "sface": ("RGB", 0.0, 1.0),
}
"""By the name that ``--preset`` takes. SFace's file of OpenCV Zoo scales in its graph."""


def check_preset(name: str) -> str:
    """`name` if it is one of :data:`CONVENTIONS`; raises InputError otherwise."""
    if name not in CONVENTIONS:
        raise InputError(f"unknown preset '{name}'; choose {', '.join(CONVENTIONS)}, or describe it in a network file")
    return name


def network_text(preset: str, file: Path) -> str:
    """A network file for the ONNX file `file` of a convention."""
    colour, mean, std = CONVENTIONS[check_preset(preset)]
    return (
        f'name = "recogniser-{preset}"\nframing = "arcface-112"\n[input]\nsize = [112, 112]\ncolour = "{colour}"\n'
        f"mean = {_thrice(mean)}\nstd = {_thrice(std)}\n"
        f'[[outputs]]\nname = "embedding"\nkind = "embedding"\nof = 0\n[reference]\nonnx = "{_escaped(file.name)}"\n'
    )


def _thrice(value: float) -> Sequence[float]:
    return [value] * 3


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
