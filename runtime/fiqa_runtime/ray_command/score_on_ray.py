"""Pictures to rows of scores, as ``fiqa-score --ray`` does it once its options are read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.results import NO_FACE, REFUSED, SCORED
from fiqa_runtime.command.settings import EngineSettings, FaceSettings
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import finder_settings
from fiqa_runtime.ray_command.cluster import cluster_at, reason_within
from fiqa_runtime.ray_command.output_folder import OutputFolder
from fiqa_runtime.rows import FaceRows
from fiqa_runtime.rows.pictures import Pictures, open_packed
from fiqa_runtime.rows.ray import LEFT_FREE, read_pictures, require_ray, score_dataset
from fiqa_runtime.rows.stores import PACKED, Stored, StoredFile, search_stores
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.terminal.console import detail, stderr, tell

BLOCK = 8 << 20
"""Bytes of pictures that an actor gets in one task, so that several actors have work where there are few."""
CROPS_IN_A_FILE, PHOTOS_IN_A_FILE = 16384, 2048
"""Rows of each Parquet file at least. What is not in one yet is scored again where a run was cut."""
SHOWN = 3
"""Errors named at the end of a run; the others are counted."""


@dataclass(frozen=True)
class RaySettings:
    """How a run is spread, and where its rows go."""

    address: str
    """HOST:PORT, `auto` or `local`."""
    actors: int | None
    """Processes that score; None: as many as the cluster has CPUs for."""
    gpus_per_actor: float
    parquet: str
    """A folder that all machines see, or a URI."""
    aligned: bool
    resume: bool
    columns: Pictures = field(default_factory=Pictures)


def score_on_ray(names: Sequence[str], engine: EngineSettings, faces: FaceSettings, run: RaySettings) -> None:
    """Score the pictures at `names` (files, folders, URIs) and write rows of id, faces and error.

    Raises InputError at the end where some could not be scored, and before the work where it could not end well.
    """
    require_ray()
    engine = replace(engine, threads=engine.threads or 1)
    output = OutputFolder(run.parquet)
    output.refuse_within(names)
    found = search_stores(names)
    _check_first_packed(found.files, run.columns)
    rows, decided = _rows(engine, faces, run.aligned)
    output.begin({**decided, "columns": [run.columns.image_column, run.columns.id_column], **_told(found)}, run.resume)
    try:
        _run(found.files, rows, run, output)
    except BaseException:
        if not output.drop_if_empty():
            tell([f"what is done stands in {output.place}; the same command with --resume goes on"])
        raise
    account, errors, complaints = _account(output, found)
    output.finish()
    tell(account.lines())
    tell([f"wrote {counted(account.given, 'row')} to {output.place}"])
    if errors:
        hidden = complaints - len(errors)
        raise InputError("; ".join(errors) + (f" (and {hidden} more)" if hidden else ""))


def _run(files: Sequence[StoredFile], rows: FaceRows, run: RaySettings, output: OutputFolder) -> None:
    with cluster_at(run.address) as ray:
        from ray.data.checkpoint import CheckpointConfig

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = stderr.is_terminal and not stderr.quiet
        context.target_max_block_size = BLOCK
        context.checkpoint_config = CheckpointConfig(
            "id",
            output.done.path,
            override_filesystem=output.done.files,
            delete_checkpoint_on_success=False,
        )
        actors = run.actors or _most_actors(ray, rows.threads, run.gpus_per_actor)
        detail(f"{actors} actors of {rows.threads} threads on {len(ray.nodes())} nodes score by {rows!r}")
        scored = score_dataset(read_pictures(files, run.columns), rows, actors, run.gpus_per_actor)
        try:
            scored.write_parquet(
                output.place.path,
                filesystem=output.place.files,
                min_rows_per_file=CROPS_IN_A_FILE if run.aligned else PHOTOS_IN_A_FILE,
            )
        except Exception as error:  # Ray wraps what its workers raise in many ways
            raise reason_within(error) from error


def _most_actors(ray: Any, threads: int, gpus: float) -> int:
    there = ray.cluster_resources()
    most = int((there.get("CPU", 0) - LEFT_FREE) // threads)
    return max(1, min(most, int(there.get("GPU", 0) // gpus)) if gpus else most)


def _rows(engine: EngineSettings, faces: FaceSettings, aligned: bool) -> tuple[FaceRows, dict[str, Any]]:
    """The function that every actor runs, and what decides its results."""
    with ExitStack() as stack:
        scorer = stack.enter_context(engine.open())
        detector = None if aligned else faces.open_detector(engine, scorer)
        backend = scorer.backend.name
        digest = sha256_of(scorer.path)
        path = scorer.path
    rows = FaceRows(path, backend, detector, engine.threads or 1, aligned, faces.align, engine.device)
    found_by = {} if detector is None else {key: str(value) for key, value in finder_settings(detector).items()}
    return rows, {"engine": digest, "device": engine.device, "aligned": aligned, "align": faces.align, **found_by}


def _check_first_packed(files: Sequence[StoredFile], columns: Pictures) -> None:
    """Raise what opening the first tar or Parquet file raises: a wrong column is wrong in all of them."""
    for file in (file for file in files if file.suffix.lower() in PACKED):
        open_packed(columns, file)
        return


def _told(found: Stored) -> dict[str, Any]:
    """Which pictures they are, by name, size and time."""
    digest = hashlib.sha256()
    for file in found.files:
        digest.update(f"{file.name}\0{file.size}\0{file.time}\n".encode("utf-8", "surrogateescape"))
    return {"files": len(found.files), "files_sha256": digest.hexdigest()}


def _account(output: OutputFolder, found: Stored) -> tuple[Account, list[str], int]:
    """What became of the rows, those of earlier parts of the run too; the first errors, and how many there are."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    written = ds.dataset(output.place.path, filesystem=output.place.files, format="parquet")
    account = Account(0, {Path(name): why for name, why in found.passed_over.items()})
    errors: list[str] = []
    complaints = 0
    for batch in written.to_batches(columns=["id", "faces", "error"]):
        empty = pc.equal(pc.list_value_length(batch["faces"]), 0)
        refused = pc.and_(empty, pc.is_valid(batch["error"]))
        account.given += batch.num_rows
        account.outcomes[SCORED] += batch.num_rows - (pc.sum(empty).as_py() or 0)
        account.outcomes[NO_FACE] += (pc.sum(empty).as_py() or 0) - (pc.sum(refused).as_py() or 0)
        for row in batch.filter(refused).select(["id", "error"]).to_pylist():
            account.add_earlier(row["id"], REFUSED, row["error"])
        told = batch["error"].drop_null()
        complaints += len(told)
        errors += told[: SHOWN - len(errors)].to_pylist()
    return account, errors, complaints
