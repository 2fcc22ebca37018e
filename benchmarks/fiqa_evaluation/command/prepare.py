"""``fiqa-eval prepare``: a published data set -> crops, pairs and a manifest in CR-FIQA's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.mtcnn_detector import PRESETS
from fiqa_runtime.images.align import METHODS, check_method
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import progress_bar, tell

from fiqa_evaluation.sources.find_source import Wanted
from fiqa_evaluation.sources.preparing import prepare_set

EXAMPLE = "Example: fiqa-eval prepare lfw.bin --out data"
_pairs, _photos, _where = panel("Which pairs"), panel("Where images are photos"), panel("Where it goes")


def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A .bin of InsightFace, XQLFW's or IJB-C's folder, folders of persons, or a CSV of image,person.",
        ),
    ],
    out: Annotated[Path, _where(help="Folder above the set's own, which has the set's name.")],
    name: Annotated[str | None, _where(help="Name of the set; default: that of the source.")] = None,
    colour_as_published: Annotated[
        bool,
        _where("--colour-as-published", help="Exchange red and blue in the files, as CR-FIQA's scripts do."),
    ] = False,
    pairs: Annotated[
        Path | None, _pairs(metavar="FILE", help="List of pairs, in the form of LFW or of CR-FIQA; default: all pairs.")
    ] = None,
    impostor_share: Annotated[
        float, _pairs(help="Share of the impostor pairs that is drawn where all pairs are made.")
    ] = 1.0,
    seed: Annotated[int, _pairs(min=0, help="Seed of that draw.")] = 0,
    detector: Annotated[
        str | None,
        _photos(
            metavar="yunet|mtcnn|FILE", help="Find and align the face nearest to the centre; default: images are crops."
        ),
    ] = None,
    preset: Annotated[str | None, _photos(help=f"How MTCNN is used: {' or '.join(PRESETS)}.")] = None,
    align: Annotated[str, _photos(help=f"{' or '.join(METHODS)}.")] = "least-squares",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Bring a published data set into one layout: crops, image list, pair list, persons, templates, manifest.

    A run that was cut goes on where it stopped. Images that are missing or damaged are listed in the manifest and left
    out with their pairs.

    Exit code 0: done. 2: bad input; what could be prepared was.
    """
    wanted = Wanted(pairs, impostor_share, seed, detector, preset, check_method(align))
    with progress_bar() as report:
        done = prepare_set(source, out, name, wanted, colour_as_published, report)
    counts = done.manifest["counts"]
    of = f"{counts['templates']} templates of " if counts["templates"] else ""
    tell(
        [
            f"{done.folder}: {of}{counts['images']} images, {counts['genuine']} genuine and {counts['impostor']} "
            f"impostor pairs, colours {done.manifest['colour']}"
        ]
    )
    if done.complaint:
        raise InputError(done.complaint)
