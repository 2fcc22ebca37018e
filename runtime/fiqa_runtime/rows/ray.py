"""Rows in Ray Data: the same function in a pool of actors, on one machine or many. Needs the extra ``[ray]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.rows.face_rows import FaceRows
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.rows.schema import check_rows
from fiqa_runtime.rows.stores import StoredFile

AT_ONCE = 64
"""Rows that an actor gets at a time."""
LEFT_FREE = 2
"""CPUs that actors must not take: reading and writing need them, and without them a run waits for ever."""


class _Scores:
    """What each actor keeps."""

    def __init__(self, rows: FaceRows) -> None:
        self._rows = rows

    def __call__(self, batch: Any) -> Any:
        return self._rows(batch)


def read_pictures(files: Sequence[StoredFile], columns: Pictures | None = None) -> Any:
    """The pictures in `files`, as :func:`fiqa_runtime.rows.stores.search_stores` finds them -> a ``ray.data.Dataset``.

        files = search_stores(["s3://bucket/photos", "/mnt/shards"]).files
        score_dataset(read_pictures(files), rows, actors=8)

    Images, and what lies in tar files (WebDataset's layout) and in the `columns` of Parquet files, are rows of id,
    bytes and error; a file that cannot be read is a row too. Each id comes once. Raises DependencyError where Ray is
    missing.
    """
    ray = require_ray()
    from fiqa_runtime.rows.ray_source import PictureSource

    return ray.data.read_datasource(PictureSource(files, columns or Pictures()))


def score_dataset(dataset: Any, rows: FaceRows, actors: int, gpus_per_actor: float = 0) -> Any:
    """A ``ray.data.Dataset`` of pictures -> one of faces, with the columns of :mod:`fiqa_runtime.rows.schema`.

        pictures = ray.data.read_parquet("s3://bucket/pictures", columns=["id", "bytes"])
        score_dataset(pictures, FaceRows("/mnt/ediffiqa-t.fp32.onnx"), actors=8).write_parquet("s3://bucket/faces")

    As with all of Ray Data, nothing is done before the result is asked for. Each of the `actors` takes as many CPUs as
    `rows` has threads, and `gpus_per_actor`, which may be a fraction. The package and the engine must be there on every
    node. Where an actor or a node is lost, its rows are scored again by others, and come out once. ``id`` is that of
    Ray's own ``CheckpointConfig``, which goes on where a driver was lost. An id that comes twice is seen only where
    both are among the rows that an actor gets at a time.

    Raises InputError where the columns are not those of pictures, and where the cluster has too few CPUs or GPUs, since
    a run would wait for them for ever without a word; DependencyError where Ray is missing.
    """
    ray = require_ray()
    if actors < 1:
        raise InputError(f"{actors} actors score nothing; take 1 or more")
    _check_columns(dataset)
    there = ray.cluster_resources()
    _check_enough(
        "CPUs", there.get("CPU", 0), actors * rows.threads + LEFT_FREE, f"{LEFT_FREE} for reading and writing"
    )
    _check_enough("GPUs", there.get("GPU", 0), actors * gpus_per_actor, "as asked for")
    return dataset.map_batches(
        _Scores,
        fn_constructor_args=(rows,),
        batch_size=AT_ONCE,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=rows.threads,
        num_gpus=gpus_per_actor,
    )


def require_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DependencyError("Ray Data is not installed; pip install 'fiqa-edge[ray]'") from error
    return ray


def _check_columns(dataset: Any) -> None:
    import pyarrow as pa

    schema = dataset.schema()
    known = None if schema is None else schema.base_schema
    if isinstance(known, pa.Schema):
        check_rows(known.empty_table())


def _check_enough(what: str, there: float, needed: float, why: str) -> None:
    if there < needed:
        raise InputError(
            f"the cluster has {there:g} {what}, and these actors need {needed:g} ({why}); take fewer actors or threads"
        )
