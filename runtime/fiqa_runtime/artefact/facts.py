"""What a card says about how its artefact was made and judged: weights, conversion, verdict, plan.

Each is one frozen dataclass; :mod:`fiqa_runtime.artefact.card` reads them, and refuses a card whose values do not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["official", "unverified", "standin", "file", "seeded", "unknown"]


@dataclass(frozen=True)
class Weights:
    """Where the weights come from."""

    kind: Kind = "unknown"
    """`official`: the authors', by a published SHA-256; `unverified`: called like the authors' file, of which no
    SHA-256 is published; `standin`: this project's; `file`: what the user named; `seeded`: nothing trained."""
    description: str = "unknown"
    """One line for people."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file that was loaded, by name."""
    seed: int | None = None
    """Seed of seeded weights."""
    notes: tuple[str, ...] = ()
    """What was changed or left out to make the files fit, one line each."""


@dataclass(frozen=True)
class ScoreAgreement:
    """How far the artefact's scores are from the reference's; a correlation is None where it is undefined."""

    n: int
    """Images."""
    max_abs: float | None
    """Largest absolute difference, in score units."""
    mean_abs: float | None
    """Mean absolute difference, in score units."""
    srcc: float | None
    """Spearman's rank correlation."""
    kendall: float | None
    """Kendall's tau-b; None where SciPy was not installed."""
    pearson: float | None
    """Pearson's linear correlation."""
    score_range: float | None
    """Largest minus smallest reference score."""
    flips: Mapping[str, float | None]
    """By rejection share, as in `0.1`: fraction 0..1 of the images whose decision changes."""


@dataclass(frozen=True)
class FaceAgreement:
    """The faces that a trained detector finds, beside those of the artefact."""

    found: int
    """Faces of the reference that it is sure of."""
    lost: int
    """Those of them that the artefact does not find."""
    new: int
    """Faces that the artefact alone finds."""
    iou: float
    """Least overlap of a face's two boxes, intersection over union, 0..1."""
    score: float
    """Largest absolute difference of a face's two scores, 0..1."""


@dataclass(frozen=True)
class BrokenLadder:
    """A degradation ladder that is monotone for the reference only."""

    source: int
    """Index of the photo."""
    kind: str
    """Degradation."""
    step: float
    """Largest step in the wrong direction, as a share of the range of all reference scores; 1 where they are all
    equal."""


@dataclass(frozen=True)
class LadderAgreement:
    """How many degradation ladders keep their order."""

    ladders: int
    """One per photo and kind of degradation."""
    reference: int
    """Those that are monotone, falling or rising, under the reference."""
    broken: tuple[BrokenLadder, ...]
    """Those of them that are not monotone under the artefact, the largest wrong step first."""
    kept: int
    """Those of them that are monotone in the same direction under both."""


@dataclass(frozen=True)
class Budget:
    """What a conversion may change, judged against the torch reference in float32."""

    srcc: float
    """Smallest Spearman correlation of the scores."""
    flips: float
    """Largest share of images whose decision changes at the threshold that rejects 10 %."""
    max_abs: Mapping[str, float] = field(default_factory=dict)
    """By kind of output (:class:`fiqa_runtime.artefact.spec.OutputSpec`): largest absolute difference of any value, as
    a share of the output's range."""
    correlation: float = 0.0
    """Smallest Pearson correlation of a map, of landmarks or of detector heads with the reference's, per image."""
    faces: bool = False
    """Whether a detector has to find the same faces, which then stand in for the correlation of its heads."""


@dataclass(frozen=True)
class Verdict:
    """The artefact held against the PyTorch reference.

    A plan is held against its ONNX file by canaries alone, so its verdict has `budget` and `range` and nothing else.
    An artefact of others has none of it.
    """

    images: int = 0
    """Images compared; 0 where there is no verdict."""
    budget: Budget | None = None
    """What was allowed; None where there is no verdict."""
    max_abs: Mapping[str, float | None] = field(default_factory=dict)
    """By output: largest absolute difference; None where a value was not finite."""
    range: Mapping[str, float] = field(default_factory=dict)
    """By output: its nominal range where it is bounded, else its spread over the images."""
    correlation: Mapping[str, float | None] = field(default_factory=dict)
    """By output other than the score: smallest Pearson correlation of an image's values."""
    score: ScoreAgreement | None = None
    """Agreement of the scores; None for a network without a score."""
    failures: tuple[str, ...] = ()
    """One line for each part of the budget that was missed."""
    faces: FaceAgreement | None = None
    """What a trained detector finds; None for other networks."""
    srcc_interval: tuple[float, float] | None = None
    """Bootstrap 95 % interval of the scores' Spearman correlation."""
    ladders: LadderAgreement | None = None
    """How many degradation ladders keep their order; None where the images had none."""
    left_out: tuple[str, ...] = ()
    """Names of pictures of the user's that could not serve."""
    passed: bool | None = None
    """Whether nothing was missed; None where nothing was compared."""


@dataclass(frozen=True)
class Conversion:
    """What every artefact of reduced precision says of its conversion."""

    fp32_bytes: int
    """Size of the float32 file, weights included."""
    nodes: int
    """Nodes of the float32 graph."""
    kept_in_fp32: Mapping[str, str]
    """Nodes that stay in float32, with the reason of each."""


@dataclass(frozen=True)
class Fp16Conversion(Conversion):
    """fp16: how much of the graph computes in half precision."""

    nodes_in_fp16: int
    """Nodes that compute in float16."""
    casts: int
    """Casts between the two types."""


@dataclass(frozen=True)
class Int8Conversion(Conversion):
    """int8: what was quantised, by which images, and which mixtures were tried."""

    mac_share: float
    """Share 0..1 of the multiply-accumulates of convolutions that compute in int8."""
    bytes_share: float
    """Size of the file as a share of the float32 file's."""
    methods: Mapping[str, int]
    """Tensors per method of finding their range."""
    equalised: int
    """Tensors whose channels were brought to one magnitude first."""
    fitted: bool
    """Whether rounding and biases were fitted to images."""
    images: int
    """Calibration images."""
    calibration: str
    """Hex SHA-256 of the set of calibration images."""
    warning: str | None
    """One line for people where the calibration images cover too little."""
    left_out: Mapping[str, int] | None
    """Calibration images that were left out, by reason; None where ranges came from a file."""
    trials: tuple[Mapping[str, bool | float | None], ...]
    """Each mixture that was tried: nodes kept in float32, quality, verdict, share of the MACs and of the bytes."""


CONVERSIONS: dict[str, type[Conversion]] = {"fp16": Fp16Conversion, "int8": Int8Conversion}
"""By precision."""


@dataclass(frozen=True)
class Profile:
    """Shapes that a plan takes for one input, batch first."""

    min: tuple[int, ...]
    """The smallest."""
    opt: tuple[int, ...]
    """The one that the plan is fastest at."""
    max: tuple[int, ...]
    """The largest."""


@dataclass(frozen=True)
class PlanFlags:
    """How a plan was built; None stands for TensorRT's own choice."""

    tf32: bool
    """Whether float32 convolutions may use 10-bit mantissas."""
    version_compatible: bool
    """Whether later versions of TensorRT run the plan too."""
    hardware_compatible: bool
    """Whether other Ampere and later GPUs run the plan too."""
    dla: int | None
    """Deep learning accelerator that it was built for."""
    workspace: int | None
    """Bytes of GPU memory that a layer may take."""
    optimisation: int | None
    """Level 0 to 5."""


@dataclass(frozen=True)
class PlanBuild:
    """What a TensorRT plan was built by and for. The GPU's facts are None where it was built for any."""

    flavour: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str
    """That package's `__version__`."""
    gpu: str | None
    """Name of the GPU."""
    compute_capability: str | None
    """Like `8.7`."""
    driver: str | None
    """Newest CUDA version of the NVIDIA driver, like `12.6`."""
    profile: Mapping[str, Profile]
    """By input name."""
    flags: PlanFlags
    """How it was built."""
    layers: int
    """Layers of the network before TensorRT fused them."""
    onnx_sha256: str
    """Of the ONNX file it was built from."""
