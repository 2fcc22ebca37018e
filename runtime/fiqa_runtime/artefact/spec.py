"""What a network takes and gives, as frozen data: the words that the zoo and every card are written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.schema import check_bounds

Colour = Literal["RGB", "BGR"]
Resize = Literal["pillow-bilinear", "pillow-bicubic", "opencv-bilinear", "opencv-cubic-float", "area-float", "none"]
Framing = Literal["arcface-112", "ffhq", "portrait-512", "face-box", "photo"]
Precision = Literal["fp32", "fp16", "int8"]
Task = Literal["quality", "landmarks", "detection"]
LONGEST_SIDE = 4096
"""Largest height and width of a network's input, in pixels: a card that names more is damaged."""


@dataclass(frozen=True)
class CropSampling:
    """A picture's score is the mean over crops drawn from it without resizing (DSL-FIQA)."""

    crops: int
    """Crops per picture."""
    seed: int
    """Seed of the MT19937 stream of offsets, set anew for every picture."""
    landmarks: Literal["input", "constant"]
    """`input`: the graph takes the landmark vector of each crop as second input `landmarks` (N, 500);
    `constant`: the vector of 68 visible landmarks is folded in, and only such crops can be scored."""

    def __post_init__(self) -> None:
        check_bounds("the number of crops", self.crops, 1, 1000)
        check_bounds("the seed of the crops", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class InputSpec:
    """How uint8 BGR crops become the network's input: float32 NCHW unless `raw`."""

    height: int | None
    """Rows of the network input; None where any multiple of `multiple` is taken."""
    width: int | None
    """Columns of the network input; None where any multiple of `multiple` is taken."""
    colour: Colour
    """Order of the three channels that the network sees."""
    mean: tuple[float, float, float]
    """Subtracted per channel (in `colour` order), in grey levels 0..255."""
    std: tuple[float, float, float]
    """Divides per channel after the mean, in grey levels 0..255."""
    resize: Resize
    """How a crop of another size reaches height x width: `pillow-*` are Pillow's anti-aliased 8-bit filters,
    `opencv-bilinear` is `cv2.resize` on 8 bit, `opencv-cubic-float` normalises first and then resizes, `area-float` is
    the mean of the pixels that each new pixel covers, not rounded."""
    framing: Framing
    """How the face has to sit in the crop: `arcface-112` five-point alignment to the ArcFace template,
    `ffhq` the whole head as in FFHQ, `portrait-512` FaceXFormer's rotated 512 x 512 crop, `face-box` a part of a
    photo that may be a face, `photo` no crop."""
    name: str = "input"
    """Name of the graph input."""
    sampling: CropSampling | None = None
    """How a picture is cut into several inputs; None where one crop is one input."""
    multiple: int = 32
    """Where `height` and `width` are None: the sides of a photo are padded to multiples of this many pixels."""
    raw: bool = False
    """Whether the graph takes uint8 BGR crops (N, height, width, 3) and does colour order and normalisation itself."""

    def __post_init__(self) -> None:
        check_bounds("the height of the input", self.height, 1, LONGEST_SIDE)
        check_bounds("the width of the input", self.width, 1, LONGEST_SIDE)
        check_bounds("the multiple of the input's sides", self.multiple, 1, LONGEST_SIDE)
        if 0 in self.std:
            raise ValueError("the standard deviation of a channel is 0")


@dataclass(frozen=True)
class OutputSpec:
    """One output of the graph."""

    name: str
    """Name of the graph output."""
    kind: Literal["score", "map", "embedding", "landmarks", "head"]
    """`score` (N, 1); `map` (N, 1, H, W) per-pixel quality; `landmarks` (N, 136); `head` raw detector maps."""
    range: tuple[float, float] | None = None
    """Nominal range; None where the network does not bound it."""


def output_of(kind: str, outputs: Sequence[OutputSpec]) -> str | None:
    """The name of the first of `outputs` of a `kind`; None where there is none."""
    return next((output.name for output in outputs if output.kind == kind), None)


@dataclass(frozen=True)
class Checkpoint:
    """One weight file as the authors publish it."""

    file: str
    """Name under which it is searched for and saved."""
    page: str
    """Where the authors say it is; shown to people."""
    url: str | None = None
    """Direct download address; None where only a folder or a page is published."""
    sha256: str | None = None
    """Known hash of the file; None where nobody has published one."""
    key: str | None = None
    """Entry of the loaded dictionary that holds the state dict; None where the file is a bare state dict."""
    prefix: str = ""
    """Put before the names in the file to give the names in our module, for networks of several files."""
    may_miss: tuple[str, ...] = ()
    """`fnmatch` patterns of the file's names that may be absent: recomputed, or without effect on any output."""
    may_have: tuple[str, ...] = ()
    """`fnmatch` patterns of additional names that are dropped."""
    package: str | None = None
    """Installed Python package that brings the file, and the path in it, as in `mtcnn:assets/weights/pnet.lz4`."""
    licence: str | None = None
    """Licence of this file in one line; None where it is the network's."""
    notes: tuple[str, ...] | None = None
    """What a user of this file must know; None where it is what the network's notes say."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything the project knows about a network before its weights are loaded."""

    name: str
    """Name on the command line and stem of every artefact."""
    family: str
    """Torch file: `fiqa_export/models/<family>.py`."""
    task: Task
    """What it is for."""
    input: InputSpec
    """Preprocessing."""
    outputs: tuple[OutputSpec, ...]
    """Graph outputs in order."""
    parameters: int
    """Trainable parameters of the published network."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products for one input of nominal size."""
    licence: str
    """Licence of the published weights, in one line."""
    source: str
    """Paper and repository."""
    weights: Mapping[str, tuple[Checkpoint, ...]]
    """Named weight sets, the default first; each is the list of files that make up one checkpoint."""
    aliases: tuple[str, ...] = ()
    """Other names accepted on the command line."""
    max_batch: int = 32
    """Largest batch that the runtime sends at once, which bounds the memory for activations."""
    notes: tuple[str, ...] = field(default=())
    """What a user must know and would not guess."""


CpuPrecision = Literal["exact", "fast"]
"""`exact`: float32 arithmetic; `fast`: the backend may compute in bfloat16 or float16 where the processor does."""


PRECISIONS: tuple[CpuPrecision, ...] = get_args(CpuPrecision)


def check_precision(name: str) -> CpuPrecision:
    """`name` as a :data:`CpuPrecision`; raises InputError for any other."""
    for precision in PRECISIONS:
        if name == precision:
            return precision
    raise InputError(f"unknown CPU precision '{name}'; choose {' or '.join(PRECISIONS)}")
