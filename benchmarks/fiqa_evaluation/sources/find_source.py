"""Which kind of data set lies at a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.align import Method, check_method
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.files import sha256_file

from fiqa_evaluation.sources.ijbc import is_ijbc, open_ijbc
from fiqa_evaluation.sources.insightface_bin import open_bin
from fiqa_evaluation.sources.persons import XQLFW_PAIRS, open_csv, open_folders, open_xqlfw
from fiqa_evaluation.sources.photo_crops import central_crop, open_finder
from fiqa_evaluation.sources.source import Source


@dataclass(frozen=True)
class Wanted:
    """How a data set is to be read; settings that its kind has no use for are refused."""

    pairs: Path | None = None
    """A list of pairs; None: the data set's own, or all."""
    impostor_share: float = 1.0
    """Share of the impostor pairs where all pairs are made."""
    seed: int = 0
    detector: str | None = None
    """The images are photos, whose faces this detector finds; None: they are crops."""
    preset: str | None = None
    """How MTCNN is used."""
    align: Method = "least-squares"

    def as_json(self) -> dict[str, object]:
        """What decides how the images become."""
        listed: dict[str, object] = {"pairs": sha256_file(self.pairs)} if self.pairs else {}
        if self.detector is None:
            return listed
        file = Path(self.detector)
        detector = sha256_file(file) if file.is_file() else self.detector
        return {**listed, "detector": detector, "preset": self.preset, "align": self.align}


def open_source(path: Path, wanted: Wanted) -> Source:
    """The data set at `path`: a `.bin`, a `.csv`, IJB-C, XQLFW, or folders of persons.

    Raises InputError where nothing of that kind is there, and where `wanted` asks for what the kind does not have.
    """
    if wanted.pairs is not None and not wanted.pairs.is_file():
        raise InputError(f"there is no pair list {wanted.pairs}; check the spelling")
    check_method(wanted.align)
    if path.is_file() and path.suffix.lower() == ".bin":
        _refuse(wanted, "a .bin", pairs=True, photos=True)
        return open_bin(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return open_csv(path, wanted.pairs, _crop(wanted), wanted.impostor_share, wanted.seed)
    if not path.exists():
        raise InputError(f"there is no data set {path}; check the spelling")
    if not path.is_dir():
        kinds = "a .bin, a .csv with image and person, IJB-C's, XQLFW's, or folders of persons"
        raise InputError(f"{path} is not a data set of a known kind; name {kinds}")
    if is_ijbc(path):
        _refuse(wanted, "IJB-C", pairs=True, photos=True)
        return open_ijbc(path)
    listed = wanted.pairs or (path / XQLFW_PAIRS if (path / XQLFW_PAIRS).is_file() else None)
    if listed is not None and _is_lfw_list(listed):
        return open_xqlfw(path, listed, _crop(wanted))
    return open_folders(path, wanted.pairs, _crop(wanted), wanted.impostor_share, wanted.seed)


def _is_lfw_list(path: Path) -> bool:
    """Whether the first line is the head of numbers that LFW's lists begin with."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            fields = stream.readline().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a list of pairs ({error}); check the path") from error
    return bool(fields) and len(fields) < 3 and all(field.isdecimal() for field in fields)


def _crop(wanted: Wanted) -> Callable[[Image], Image] | None:
    if wanted.detector is None:
        if wanted.preset is not None:
            raise InputError("--preset says how photos are cut; add --detector mtcnn or leave it out")
        return None
    finder = open_finder(wanted.detector, wanted.preset)
    return lambda image: central_crop(image, finder, wanted.align)


def _refuse(wanted: Wanted, kind: str, pairs: bool, photos: bool) -> None:
    lost = ["--pairs"] * (pairs and wanted.pairs is not None) + ["--detector"] * (
        photos and wanted.detector is not None
    )
    lost += ["--impostor-share"] * (wanted.impostor_share != 1)
    if lost:
        raise InputError(f"{kind} brings its own pairs and crops; leave {' and '.join(lost)} out")
