"""``fiqa-eval embed``: a prepared data set -> the embeddings of a recognition network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.devices import DEVICE_HELP
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.host import check_threads, limit_opencv
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import progress_bar, tell

from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_evaluation.embedding.conventions import CONVENTIONS
from fiqa_evaluation.embedding.extract import default_place, embed_set
from fiqa_evaluation.embedding.recogniser import open_recogniser

EXAMPLE = "Example: fiqa-eval embed data/lfw --recogniser w600k_r50.onnx --preset arcface"
_what, _speed, _where = panel("The network"), panel("Speed"), panel("Where it goes")


def embed(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a prepared data set.")],
    recogniser: Annotated[
        str, _what(metavar="NET.onnx|NET.toml", help="An artefact, an ONNX file of others, or a network file of one.")
    ],
    preset: Annotated[
        str | None, _what(help=f"How an ONNX file without card is fed: {', '.join(CONVENTIONS)}.")
    ] = None,
    no_flip: Annotated[bool, _what("--no-flip", help="Leave the mirror image's half of the embedding out.")] = False,
    colour_as_published: Annotated[
        bool, _what("--colour-as-published", help="A folder without manifest has red and blue exchanged.")
    ] = False,
    backend: Annotated[str, _speed(help=f"auto or {', '.join(ONNX_BACKENDS)}.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    threads: Annotated[int | None, _speed(min=1, help="Threads of the backend.")] = None,
    batch: Annotated[int | None, _speed(min=1, help="Most crops at once; default: as the card says.")] = None,
    out: Annotated[
        Path | None,
        _where(help="A folder for NAME.npy, a .npz or a .parquet; default: quality_embeddings/SET_MODEL there."),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Embed every image with a recognition network: the embedding of the crop, then that of its mirror image, each of
    length 1.

    A run that was cut goes on where it stopped, where the network still gives the embeddings that it gave.

    Exit code 0: done. 2: bad input; what could be embedded was. 3: the network misses its canaries.
    """
    check_threads(threads)
    limit_opencv(threads)
    opened_set = open_set(data, colour_as_published or None)
    opened = open_recogniser(recogniser, preset, not no_flip, backend, threads, batch, device)
    try:
        with progress_bar() as report:
            done = embed_set(opened_set, opened, out or default_place(opened_set, Path(recogniser).stem), report)
    finally:
        opened.close()
    tell([f"{done.path}: {done.images} embeddings of {done.numbers} numbers"])
    if done.refused:
        name, why = next(iter(done.refused.items()))
        raise InputError(f"{len(done.refused)} images have no embedding, as {name} ({why})")
