"""What calibration found about one fp32 network, in a file that holds no images."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import parse_json, read_text
from fiqa_runtime.system.files import write_text

VERSION = 1


@dataclass(frozen=True)
class Ranges:
    """What calibration found about one fp32 network with one set of weights."""

    model: str
    """Hex SHA-256 of the fp32 ONNX file."""
    calibration: str
    """Hex SHA-256 of the set of images, see :attr:`fiqa_calibration.dataset.CalibrationSet.sha256`."""
    images: int
    """Images of the set."""
    channels: Mapping[str, Sequence[float]]
    """Largest magnitude of every channel in the network as it was exported, by tensor that is to be equalised."""
    ranges: Mapping[str, Mapping[str, float]]
    """Largest magnitude that int8 represents, after equalisation by `channels`; by method and tensor."""
    methods: Mapping[str, str]
    """The best method of each tensor, by tensor; empty where calibration was interrupted before that was known."""
    activations: Mapping[str, float]
    """How far rounding the activations that a node reads moves the outputs, as a share of their spread; by node."""
    weights: Mapping[str, float]
    """How far rounding the weights of a layer to the nearest level moves the outputs, likewise; by layer."""
    kept: Sequence[str] | None = None
    """What the search kept in higher precision when it had the images; None where the search was not finished."""

    @property
    def chosen(self) -> dict[str, float]:
        """The range of each tensor by its best method, by tensor."""
        return {name: self.ranges[method][name] for name, method in self.methods.items()}

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything but `kept`."""
        return hashlib.sha256(json.dumps({**asdict(self), "kept": None}, sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write to `path` as JSON; raises InputError where that cannot be done."""
        write_text(path, json.dumps({"version": VERSION, **asdict(self)}) + "\n")

    @classmethod
    def load(cls, path: Path, model: str, calibration: str | None = None) -> Ranges:
        """Read what :meth:`save` wrote for the fp32 file with SHA-256 `model` (and the image set `calibration`).

        Raises InputError where the file is missing or is not such a file, or was made for another network or from other
        images.
        """
        try:
            data = parse_json(read_text(path))
            found = cls(**{key: value for key, value in data.items() if key != "version"})
            harms, channels = (*found.activations.values(), *found.weights.values()), found.channels.values()
            version, numbers = data["version"], [*found.chosen.values(), *harms, *(m for c in channels for m in c)]
            names = [*(found.kept or ())]
        except FileNotFoundError as error:
            raise InputError(f"there is no file of ranges {path}; make one with --calib FOLDER") from error
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not a file of ranges; calibrate again with --calib FOLDER") from error
        if version != VERSION:
            raise InputError(f"{path} was written by another version; calibrate again with --calib FOLDER")
        sound = all(isinstance(value, int | float) and math.isfinite(value) and value >= 0 for value in numbers)
        if not (sound and all(isinstance(name, str) for name in names)):
            raise InputError(f"{path} holds ranges that are not numbers; calibrate again with --calib FOLDER")
        if found.model != model:
            raise InputError(
                f"{path} belongs to another network or other weights (SHA-256 {found.model[:12]}, not {model[:12]}); "
                "calibrate this one with --calib FOLDER"
            )
        if calibration is not None and found.calibration != calibration:
            raise InputError(f"{path} was made of other images; calibrate again with --calib FOLDER")
        if calibration is None and not found.methods:
            raise InputError(f"{path} is of a calibration that was interrupted; end it with --calib FOLDER")
        return found
