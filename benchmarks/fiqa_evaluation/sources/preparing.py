"""Writes a data set in CR-FIQA's layout; an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.jpeg import decode_jpeg
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.files import sha256_file, write_bytes, write_text
from fiqa_runtime.system.host import own_groups, usable_cores
from fiqa_runtime.system.parallel import work_side_by_side
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.outputs import check_output_folder

from fiqa_evaluation.data_set.set_folder import (
    EXCHANGED,
    IMAGES,
    MANIFEST,
    ORDINARY,
    PAIRS,
    PATHS,
    PERSONS,
    TEMPLATES,
    manifest_text,
    path_lines,
)
from fiqa_evaluation.data_set.templates import Templates
from fiqa_evaluation.sources.find_source import Wanted, open_source
from fiqa_evaluation.sources.source import Source, encoded, plain_name

JOURNAL = "prepared.jsonl"
"""What is done, a line per image, while the set is being prepared."""
SCHEMA = "fiqa-eval-set.v1"
LISTED = 1000
"""Most missing and refused images that a manifest lists; all are counted."""


@dataclass(frozen=True)
class Prepared:
    """What was written."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def complaint(self) -> str:
        """What is missing, in one line; empty where nothing is."""
        counts = {kind: self.manifest[kind]["count"] for kind in ("missing", "refused")}
        if not any(counts.values()):
            return ""
        example = next(iter([*self.manifest["missing"]["images"], *self.manifest["refused"]["images"]]), "")
        return (
            f"{counts['missing']} listed images are missing and {counts['refused']} were refused, as {example}; "
            f"{self.manifest['pairs_left_out']} pairs were left out with them; {self.folder / MANIFEST} lists them"
        )


def prepare_set(
    origin: Path, out: Path, name: str | None, wanted: Wanted, published: bool, report: Report = silent
) -> Prepared:
    """Open the data set at `origin` and write it to a folder of its name in `out`; one that lies there whole is left
    as it is."""
    folder = out / plain_name(name or origin.stem)
    if folder.name != (name or folder.name) or folder.name in ("", ".", ".."):
        raise InputError(f"'{name}' cannot be the name of a folder in lists; give one without blanks and slashes")
    source = open_source(origin, wanted)
    settings = wanted.as_json()
    if already_prepared(folder, origin, source, settings, published):
        return Prepared(folder, json.loads((folder / MANIFEST).read_text("utf-8")))
    return write_set(source, folder, origin, settings, published, report)


def write_set(
    source: Source, folder: Path, origin: Path, settings: Mapping[str, Any], published: bool, report: Report = silent
) -> Prepared:
    """Write the data set to `folder`, whose name is the set's.

    `origin` is where the source lies, `settings` are what else decides how its images become; a run that begins with
    other ones than the run before is refused. `published`: red and blue exchanged, as CR-FIQA's scripts save. Images
    that cannot be read are left out with their pairs. Raises InputError where nothing is left or the folder cannot be
    written.
    """
    check_output_folder(folder / IMAGES)
    mark = _mark(source, origin, settings, published)
    done = _read_journal(folder / JOURNAL, mark, folder)
    waiting = [place for place, name in enumerate(source.names) if name not in done]
    total = len(source.names)

    def make(_: int, place: int) -> tuple[str, dict[str, str]]:
        name = source.names[place]
        try:
            data = _file_of(source.load(place), published)
        except InputError as error:
            return name, {"error": str(error)}
        write_bytes(_place(folder, name), data)
        return name, {"sha256": hashlib.sha256(data).hexdigest()}

    workers = range(max(1, int(usable_cores(own_groups()))))
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        if not journal.tell():
            journal.write(json.dumps(mark) + "\n")
        for count, (name, row) in enumerate(work_side_by_side(make, workers, waiting), total - len(waiting)):
            if not count % 32:
                report(f"prepare {folder.name}", count, total)
            done[name] = row
            journal.write(json.dumps({"name": name, **row}) + "\n")
    report(f"prepare {folder.name}", total, total)
    manifest = _finish(source, folder, origin, done, mark)
    (folder / JOURNAL).unlink()
    return Prepared(folder, manifest)


def already_prepared(folder: Path, origin: Path, source: Source, settings: Mapping[str, Any], published: bool) -> bool:
    """Whether `folder` holds just this data set, whole."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or (folder / JOURNAL).is_file():
        return False
    try:
        found = json.loads(manifest.read_text("utf-8"))
        return bool(found["mark"] == _mark(source, origin, settings, published)) and all(
            _place(folder, name).is_file() for name in found["images"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(source: Source, origin: Path, settings: Mapping[str, Any], published: bool) -> dict[str, Any]:
    """What tells one preparation from another: everything that decides what the files hold."""
    names = hashlib.sha256("\n".join(source.names).encode(errors="surrogateescape"))
    names.update(np.ascontiguousarray(source.pairs).tobytes())
    names.update(np.ascontiguousarray(source.genuine).tobytes())
    content = {"sha256": sha256_file(origin)} if origin.is_file() else {}
    colour = EXCHANGED if published else ORDINARY
    return {"kind": source.kind, "names": names.hexdigest(), "colour": colour, **content, **source.settings, **settings}


def _read_journal(path: Path, mark: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Rows by name of an interrupted run; the last line may be cut off."""
    if not path.is_file():
        if (folder / MANIFEST).is_file():
            raise InputError(f"{folder} holds another data set, or this one otherwise prepared; choose another --out")
        return {}
    with path.open(encoding="utf-8") as stream:
        lines = stream.read().split("\n")
    if lines[-1]:
        path.write_text("\n".join(lines[:-1]) + "\n" * (len(lines) > 1), encoding="utf-8")
    rows: list[dict[str, Any]] = []
    for line in lines[:-1]:
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise InputError(f"{path} is damaged; delete {folder} and prepare it again") from error
    if rows and rows[0] != dict(mark):
        raise InputError(f"{folder} was begun from another source or with other settings; choose another --out")
    return {row.pop("name"): row for row in rows[1:]}


def _file_of(image: bytes | Image, published: bool) -> bytes:
    if isinstance(image, bytes) and not published:
        return image
    pixels = decode_jpeg(image) if isinstance(image, bytes) else image
    if pixels is None:
        raise InputError("the image cannot be decoded; copy it again")
    return encoded(pixels, published)


def _place(folder: Path, name: str) -> Path:
    path = folder / IMAGES / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _finish(
    source: Source, folder: Path, origin: Path, done: Mapping[str, Mapping[str, str]], mark: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write the lists and, last, the manifest."""
    good = np.array(["sha256" in done[name] for name in source.names])
    refused = {name: done[name]["error"] for name, fine in zip(source.names, good, strict=True) if not fine}
    images = [name for name, fine in zip(source.names, good.tolist(), strict=True) if fine]
    if not images:
        raise InputError(f"none of {len(source.names)} images can be used: {next(iter(refused.values()))}")
    templates = source.templates
    ends_good = good if templates is None else _whole_templates(templates, good)
    kept = ends_good[source.pairs].all(axis=1)
    genuine = source.genuine[kept]
    if not genuine.any() or genuine.all():
        kind = "impostor" if genuine.any() else "genuine"
        raise InputError(f"{origin} leaves no {kind} pair, so no error rate exists; give a list with both kinds")
    names = source.names if templates is None else templates.names
    write_text(folder / PATHS, path_lines(folder.name, images))
    write_text(folder / PAIRS, "".join(_pair_lines(names, source.pairs[kept], genuine)))
    if templates is not None:
        write_text(folder / TEMPLATES, "".join(_template_lines(templates, good)))
    if source.persons is not None:
        rows = zip(source.names, source.persons, good.tolist(), strict=True)
        write_text(folder / PERSONS, "".join(f"{name} {person}\n" for name, person, fine in rows if fine))
    manifest = {
        "schema": SCHEMA,
        "name": folder.name,
        "source": str(origin),
        "kind": source.kind,
        "colour": mark["colour"],
        "mark": dict(mark),
        "counts": {
            "images": len(images),
            "genuine": int(genuine.sum()),
            "impostor": int((~genuine).sum()),
            "templates": 0 if templates is None else len(templates.names),
        },
        "pairs_left_out": source.left_out + int((~kept).sum()),
        "missing": {"count": len(source.missing), "images": list(source.missing[:LISTED])},
        "refused": {"count": len(refused), "images": dict(list(refused.items())[:LISTED])},
        "images": {name: done[name]["sha256"] for name in images},
    }
    write_text(folder / MANIFEST, manifest_text(manifest))
    return manifest


def _whole_templates(templates: Templates, good: np.ndarray) -> np.ndarray:
    """Which templates (T,) have an image left."""
    found = np.zeros(len(templates.names), np.bool_)
    found[templates.template[good[templates.image]]] = True
    return found


def _pair_lines(names: Sequence[str], pairs: np.ndarray, genuine: np.ndarray) -> Iterator[str]:
    for (a, b), same in zip(pairs.tolist(), genuine.tolist(), strict=True):
        yield f"{names[a]} {names[b]} {int(same)}\n"


def _template_lines(templates: Templates, good: np.ndarray) -> Iterator[str]:
    kept = good[templates.image]
    columns = (templates.image[kept].tolist(), templates.template[kept].tolist(), templates.media[kept].tolist())
    for image, template, media in zip(*columns, strict=True):
        yield f"{templates.images[image]} {templates.names[template]} {media}\n"
