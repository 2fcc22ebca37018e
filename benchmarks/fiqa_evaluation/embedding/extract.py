"""Every image of a data set -> its embedding, in batches, with the next images read meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.files import write_text
from fiqa_runtime.system.parallel import work_ahead
from fiqa_runtime.system.progress import Report, silent

from fiqa_evaluation.data_set.embedding_files import ARCHIVES, require_pyarrow, write_vectors
from fiqa_evaluation.data_set.set_folder import SetFolder
from fiqa_evaluation.embedding.recogniser import Recogniser
from fiqa_evaluation.embedding.store import Store

CHUNK = 64
"""Images per step: so many are read ahead."""


@dataclass(frozen=True)
class Embedded:
    """What was written."""

    path: Path
    images: int
    numbers: int
    """Length of an embedding."""
    refused: dict[str, str]
    """Why images have no embedding, by name."""


def default_place(data: SetFolder, model: str) -> Path:
    """Where CR-FIQA's evaluation looks for embeddings, beside the folder of the set."""
    return data.path.parent / "quality_embeddings" / f"{data.name}_{model}"


def embed_set(data: SetFolder, recogniser: Recogniser, out: Path, report: Report = silent) -> Embedded:
    """Write the embeddings of every image to `out`: a folder of `.npy`, a `.npz` or a `.parquet`.

    What an earlier run with the same network, settings and images wrote there whole is left as it is. Images that
    cannot be read are left out and told. Raises InputError where none is left.
    """
    if out.suffix.lower() == ".parquet":
        require_pyarrow()
    mark = {**recogniser.mark, "set": data.name, "images": images_mark(data)}
    note = _note(out)
    if (known := _finished(note, mark, out)) is not None:
        return known
    canaries = recogniser.canaries()
    store = Store(out.with_name(f"{out.name}.part"), mark, canaries, len(data.names))
    starts = range(store.done, len(data.names), CHUNK)

    def read(start: int) -> tuple[list[Image | None], dict[str, str]]:
        return _read(data, data.names[start : start + CHUNK])

    with store.keeping():
        for start, (images, refused) in zip(starts, work_ahead(read, starts), strict=True):
            report(f"embed {data.name}", start, len(data.names))
            there = [place for place, image in enumerate(images) if image is not None]
            if there:
                vectors = recogniser.embed([image for image in images if image is not None])
                store.rows[[start + place for place in there]] = vectors
            store.finish(start + len(images), refused)
    report(f"embed {data.name}", len(data.names), len(data.names))
    refused = store.refused
    kept = [place for place, name in enumerate(data.names) if name not in refused]
    if not kept:
        raise InputError(f"none of {len(data.names)} images can be embedded: {next(iter(refused.values()))}")
    names = [data.names[place] for place in kept]
    write_vectors(out, names, store.rows if len(kept) == len(data.names) else store.rows[kept])
    done = Embedded(out, len(names), canaries.shape[1], refused)
    write_text(note, json.dumps({"mark": mark, "images": done.images, "numbers": done.numbers, "refused": refused}))
    store.remove()
    return done


def images_mark(data: SetFolder) -> str:
    """A hash of which images there are and of what is in them."""
    rows = [f"{name} {data.digest(name)}" for name in data.names]
    return hashlib.sha256("\n".join([*rows, str(data.exchanged)]).encode(errors="surrogateescape")).hexdigest()


def _read(data: SetFolder, names: Sequence[str]) -> tuple[list[Image | None], dict[str, str]]:
    images: list[Image | None] = []
    refused: dict[str, str] = {}
    for name in names:
        try:
            images.append(data.read(name))
        except InputError as error:
            images.append(None)
            refused[name] = str(error)
    return images, refused


def _note(out: Path) -> Path:
    """Where it is written by what the embeddings were made."""
    return out.with_name(f"{out.name}.json") if out.suffix.lower() in ARCHIVES else out / "embeddings.json"


def _finished(note: Path, mark: dict[str, Any], out: Path) -> Embedded | None:
    """What lies at `out` already; raises InputError where it is something else."""
    if not note.is_file():
        return None
    try:
        found = json.loads(note.read_text("utf-8"))
        same = found["mark"] == mark
        done = Embedded(out, found["images"], found["numbers"], dict(found["refused"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note} is damaged; delete it and embed the images again") from error
    if not same:
        raise InputError(f"{out} holds embeddings of another network or set; choose another --out")
    return done if out.exists() else None
