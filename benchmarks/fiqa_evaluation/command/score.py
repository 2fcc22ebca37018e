"""``fiqa-eval score``: a prepared data set -> a quality file per engine, as CR-FIQA's evaluation reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.spec import check_precision
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.devices import DEVICE_HELP, PLAN_BACKEND
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.host import check_threads, limit_opencv
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import progress_bar, tell

from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_evaluation.scores.score_set import score_set, write_quality

EXAMPLE = "Example: fiqa-eval score data/lfw --engine ediffiqa-t.fp32.onnx ediffiqa-t.int8.onnx"
_what, _speed, _where = panel("What is scored"), panel("Speed"), panel("Where it goes")


def score(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a prepared data set.")],
    engine: Annotated[
        list[str], _what(metavar="FILE...", help="Artefacts; a bare name is also looked for in engines/.")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="More artefacts.")] = None,
    colour_as_published: Annotated[
        bool, _what("--colour-as-published", help="A folder without manifest has red and blue exchanged.")
    ] = False,
    backend: Annotated[str, _speed(help=f"auto, {', '.join(ONNX_BACKENDS)} or {PLAN_BACKEND}.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    cpu_precision: Annotated[str, _speed(help="exact or fast, as in fiqa-score.")] = "exact",
    threads: Annotated[int | None, _speed(min=1, help="Threads of the backend.")] = None,
    cache: Annotated[Path | None, _where(help="File that keeps scores; default: user cache.")] = None,
    out: Annotated[
        Path | None, _where(help="Folder for the quality files METHOD_SET.txt; default: that of the set.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Score every image with one or more engines; the method of a quality file is the engine's file name.

    Scores are kept by image and engine, so that a run that was cut goes on where it stopped.

    Exit code 0: done. 2: bad input; what could be scored was.
    """
    check_threads(threads)
    limit_opencv(threads)
    precision = check_precision(cpu_precision)
    opened_set = open_set(data, colour_as_published or None)
    refused: dict[str, str] = {}
    with progress_bar() as report:
        for method, path in methods([*engine, *(more or [])]).items():
            with Scorer(path, backend, threads, precision, device=device) as scorer:
                done = score_set(opened_set, scorer, method, cache, report)
            if not done.scores:
                raise InputError(f"{path} can score none of the images: {next(iter(done.refused.values()))}")
            tell([f"{write_quality(opened_set, done, out)}: {len(done.scores)} scores"])
            refused |= done.refused
    if refused:
        name, why = next(iter(refused.items()))
        raise InputError(f"{len(refused)} images have no score, as {name} ({why})")


def methods(engines: list[str]) -> dict[str, Path]:
    """Artefacts by the name of their method: the file's without suffix; raises InputError where two are alike."""
    found: dict[str, Path] = {}
    for name in engines:
        path = find_artefact(name)
        method = path.name.removesuffix(path.suffix)
        if found.setdefault(method, path) != path:
            raise InputError(f"{found[method]} and {path} would both be called {method}; rename one of them")
    return found
