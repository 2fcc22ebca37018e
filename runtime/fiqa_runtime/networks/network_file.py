"""A user's network as one TOML file: what it is fed, what it gives, and where it comes from.

    name = "mynet"
    framing = "arcface-112"
    licence = "MIT"
    source = "where it is published"

    [input]
    size = [112, 112]
    colour = "RGB"
    mean = [127.5, 127.5, 127.5]
    std = [127.5, 127.5, 127.5]

    [[outputs]]
    name = "score"
    kind = "score"

    [reference]
    torch = "net.py:build"          # or onnx = "theirs.onnx"

The dataclasses are the schema. A file that does not keep to it is refused with the line and the field.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from fiqa_runtime.artefact.spec import Checkpoint, Colour, Framing, InputSpec, ModelSpec, OutputSpec, Resize
from fiqa_runtime.artefact.zoo import GROUPS, MODELS
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.networks.reduction import Reduce
from fiqa_runtime.system.documents import read_text
from fiqa_runtime.system.schema import check_bounds, from_plain

VERSION = 1
NAME = re.compile(r"[a-z0-9](?:[a-z0-9.+]|-(?=[a-z0-9]))*", re.ASCII)
PREFIX = "network."
"""Put before the names of a checkpoint: the user's module is a part of the reference that is exported."""


@dataclass(frozen=True)
class InputTable:
    """`[input]`."""

    size: tuple[int, int]
    """Height and width in pixels."""
    colour: Colour = "RGB"
    """Order of the channels that the network sees."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted per channel, in grey levels 0..255, in the order of `colour`."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Divides per channel after the mean, in grey levels."""
    resize: Resize = "opencv-bilinear"
    """How a crop of another size is brought to `size`."""


@dataclass(frozen=True)
class OutputTable:
    """One `[[outputs]]`."""

    name: str
    """What the artefact calls it."""
    kind: Literal["score", "map", "embedding"] = "score"
    """`score` gives one number per face, higher is better; `map` (N, 1, H, W); `embedding` (N, D)."""
    reduce: Reduce = "none"
    """How the network's own output becomes it."""
    bins: tuple[float, ...] | None = None
    """For `expectation`: the value of each bin."""
    of: int | str = 0
    """Which output of the network it is made of: its position, or its name in a dictionary or an ONNX file."""
    range: tuple[float, float] | None = None
    """Nominal range; without one the range over the images of the parity check counts."""

    def __post_init__(self) -> None:
        if (self.reduce == "expectation") != (self.bins is not None):
            raise ValueError("expectation and bins go together; give the value of each bin, as in bins = [0, 0.5, 1]")


@dataclass(frozen=True)
class ReferenceTable:
    """`[reference]`: one of the two."""

    torch: str | None = None
    """``package.module:function`` or ``file.py:function`` beside the TOML file; called without arguments, it returns
    the module with untrained parameters."""
    onnx: str | None = None
    """An ONNX file beside the TOML file."""

    def __post_init__(self) -> None:
        if (self.torch is None) == (self.onnx is None):
            raise ValueError("it needs one of torch and onnx")
        if self.torch is not None and not re.fullmatch(r"[^:]+:[A-Za-z_]\w*", self.torch):
            raise ValueError("torch is written as 'package.module:function' or 'file.py:function'")


@dataclass(frozen=True)
class WeightsTable:
    """One `[[weights]]`: a file of trained parameters for a torch reference."""

    file: str
    """Beside the TOML file, or found as the weights of known networks are."""
    key: str | None = None
    """Entry of the loaded dictionary that holds the state dict."""
    prefix: str = ""
    """Put before the names in the file to give those of the module, for networks of several files."""
    may_have: tuple[str, ...] = ()
    """Patterns of additional names that are dropped."""
    may_miss: tuple[str, ...] = ()
    """Patterns of names that may be absent."""
    sha256: str | None = None
    page: str = "its author"
    """Where people get it."""
    url: str | None = None
    """Address for download."""


@dataclass(frozen=True)
class NetworkFile:
    """The whole file."""

    name: str
    """Lower-case letters, digits, dots and dashes; not a name of a network that comes with this project."""
    input: InputTable
    outputs: tuple[OutputTable, ...]
    reference: ReferenceTable
    fiqa_network: int = VERSION
    """Version of the format."""
    task: Literal["quality"] = "quality"
    framing: Framing = "arcface-112"
    """How the face sits in the crop."""
    licence: str = "not stated in its network file"
    source: str = "not stated in its network file"
    weights: tuple[WeightsTable, ...] = ()
    max_batch: int = 32
    """Largest batch that is fed at once."""
    notes: tuple[str, ...] = ()
    """What a user must know."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name is {self.name!r}; write lower-case letters, digits, dots and single dashes")
        if self.name in MODELS or self.name in GROUPS or any(self.name in m.aliases for m in MODELS.values()):
            raise ValueError(f"name is {self.name!r}, which a network of this project has; choose another one")
        names = [output.name for output in self.outputs]
        if not names or len(set(names)) < len(names):
            raise ValueError("outputs need at least one entry, each with a name of its own")
        if [output.kind for output in self.outputs].count("score") > 1:
            raise ValueError("outputs have several scores; a network gives one")
        if self.framing in ("photo", "face-box", "portrait-512"):
            raise ValueError(f"framing is {self.framing!r}, which only networks of this project use; see docs")
        check_bounds("max_batch", self.max_batch, 1, 4096)


def read_network(path: Path) -> NetworkFile:
    """The network that the TOML file `path` describes.

    Raises InputError, which names line and field, where the file cannot be read or does not keep to the schema, and
    DependencyError where Python 3.10 lacks tomli.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the spelling") from error
    except ValueError as error:
        raise InputError(f"{path} is not text; save it as UTF-8") from error
    data = _parsed(path, text)
    version = data.get("fiqa_network", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise InputError(f"{path} is of version {version}, this fiqa-edge reads {VERSION}; upgrade fiqa-edge")
    try:
        return from_plain(NetworkFile, data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}{_line_of(str(error), text)}: {error}") from error


def spec_of(network: NetworkFile, parameters: int = 0, macs: int = 1) -> ModelSpec:
    """`network` in the words of the zoo; `parameters` and `macs` are what was counted."""
    height, width = network.input.size
    own = network.input
    files = tuple(
        Checkpoint(
            *(w.file, w.page, w.url, w.sha256, w.key, PREFIX + w.prefix),
            may_miss=w.may_miss,
            may_have=w.may_have,
        )
        for w in network.weights or (WeightsTable(f"{network.name}.pth"),)
    )
    return ModelSpec(
        name=network.name,
        family="own",
        task=network.task,
        input=InputSpec(height, width, own.colour, own.mean, own.std, own.resize, network.framing),
        outputs=tuple(OutputSpec(o.name, o.kind, o.range) for o in network.outputs),
        parameters=parameters,
        macs=macs,
        licence=network.licence,
        source=network.source,
        weights={"own": files},
        max_batch=network.max_batch,
        notes=network.notes,
    )


def with_max_batch(network: NetworkFile, most: int) -> NetworkFile:
    """`network`, fed at most `most` crops at once."""
    return replace(network, max_batch=min(network.max_batch, most))


def _parsed(path: Path, text: str) -> Mapping[str, Any]:
    try:
        toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise DependencyError(f"reading {path} needs tomli on Python 3.10; pip install tomli") from error
    try:
        return dict(toml.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}; correct the line") from error


def _line_of(message: str, text: str) -> str:
    """`, line N` for the field that `message` names first, as far as a search for its name finds it."""
    field = re.match(r"[\w.\[\]]+", message)
    keys = re.findall(r"[A-Za-z_]\w*", field[0]) if field else []
    for key in reversed(keys):
        found = re.search(rf"^\s*(?:\[+\s*)?(?:\w+\.)*{re.escape(key)}\b", text, re.MULTILINE)
        if found:
            return f", line {text.count(chr(10), 0, found.start() + len(found[0]) - len(found[0].lstrip())) + 1}"
    return ""
