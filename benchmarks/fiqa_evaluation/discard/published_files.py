"""The files that CR-FIQA's own evaluation writes and reads, so that its plots and tables go on from ours.

| file                                                  | content                                                     |
|-------------------------------------------------------|-------------------------------------------------------------|
| `<dataset>/fnmr/<method>_<model>_<dataset>_fnmr2.npy` | FNMR at FMR 1e-2 at 20 fractions (20,); `fnmr3`, `fnmr4`    |
| `<dataset>/0.01_auc.txt`, also `0.001`, `0.0001`      | lines of `dataset:model:method:area`                        |
| `<method>_IJBC.txt`, where pairs are of templates     | lines of `template template label quality`, a line per pair |
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import write_bytes, write_text
from fiqa_runtime.terminal.outputs import check_output_folder

from fiqa_evaluation.data_set.files import Floats
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import published_quality
from fiqa_evaluation.discard.evaluate import Method
from fiqa_evaluation.discard.start import FMRS

ENDINGS = ("fnmr2", "fnmr3", "fnmr4")
"""What the scripts call the error rates at each of FMRS."""


def model_name(embeddings: Path, dataset: str) -> str:
    """The recogniser's name from a folder or file of embeddings: `r50` for `lfw_r50` of `lfw`."""
    name = embeddings.name if embeddings.is_dir() else embeddings.stem
    return name.removeprefix(f"{dataset}_")


def check_published(folder: Path, protocol: str, methods: Sequence[str], dataset: str) -> None:
    """Raise InputError where the folder cannot be written, or the files would not be what the scripts write."""
    if protocol != "cr-fiqa":
        raise InputError("--as-published writes what CR-FIQA's scripts do; add --protocol cr-fiqa or leave it out")
    if wrong := [name for name in methods if "/" in name or "\\" in name]:
        raise InputError(f"{wrong[0]} is named by its path, since another method is called the same; rename its file")
    check_output_folder(folder / dataset / "fnmr")


def write_published(folder: Path, dataset: str, model: str, methods: Sequence[Method]) -> None:
    """Write the error rates, float64 (20,), and the lists of areas of all methods."""
    for place, (fmr, ending) in enumerate(zip(FMRS, ENDINGS, strict=True)):
        lines = []
        for method in methods:
            curve = method.curves[place]
            content = io.BytesIO()
            np.save(content, curve.fnmr)
            name = f"{method.name}_{model}_{dataset}_{ending}.npy"
            write_bytes(folder / dataset / "fnmr" / name, content.getvalue())
            lines.append(f"{dataset}:{model}:{method.name}:{curve.auc!r}\n")
        write_text(folder / dataset / f"{fmr:g}_auc.txt", "".join(lines))


def write_template_lists(
    folder: Path, comparisons: Comparisons, names: Sequence[str], qualities: Mapping[str, Floats], lower: frozenset[str]
) -> None:
    """Write for each method the list of template pairs with their qualities: of the worse of the two templates."""
    for method, quality in qualities.items():
        pairs = published_quality(comparisons, quality, method in lower)
        write_text(folder / f"{method}_IJBC.txt", "".join(_lines(comparisons, names, pairs)))


def _lines(comparisons: Comparisons, names: Sequence[str], quality: Floats) -> Iterator[str]:
    rows = zip(comparisons.pairs.tolist(), comparisons.genuine.tolist(), quality.tolist(), strict=True)
    for (one, other), same, value in rows:
        yield f"{names[one]} {names[other]} {int(same)} {value!r}\n"
