"""Rows of pictures to rows of faces, in whatever process they arrive."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import cv2

from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.backends.devices import device_for
from fiqa_runtime.errors import ArtefactError, FiqaError, InputError
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality, LeftOutError
from fiqa_runtime.faces.portrait_quality import PortraitQuality, open_landmarkers
from fiqa_runtime.images.align import Method
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import decode_image, read_image
from fiqa_runtime.rows.crops import OF_ONE_IMAGE, most_at_once, scores_of
from fiqa_runtime.rows.schema import as_crop_row, check_rows, require_pyarrow, row_schema
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.host import limit_opencv

AT_ONCE = 64
"""Rows that become Python objects at a time."""


@dataclass(frozen=True)
class _Settings:
    """What decides the results, as it travels."""

    engine: str
    sha256: str
    backend: str
    threads: int
    device: str | None
    align: Method
    detector: bytes | None
    """Pickled; None for ready crops."""


class FaceRows:
    """Scores rows of pictures: a function on Arrow tables that any engine can run anywhere.

        rows = FaceRows("engines/ediffiqa-t.fp32.onnx", detector=Detector(min_confidence=0.8))
        rows(table)                                     # Table of id, bytes or path -> Table of id, faces, error
        pool.map(rows, batches)                         # a pool of processes
        frame.mapInArrow(rows.in_arrow, SPARK_SCHEMA)   # Spark

    The columns are those of :mod:`fiqa_runtime.rows.schema`. Rows keep their order and number: a picture that cannot be
    read or scored has no faces and says why in `error`, one without a face has neither.

    It travels as its settings. The engine and the detector are opened in the process that it arrives in, with the first
    rows, and once for all of them; OpenCV's threads, of which a process has one number, become `threads` there. The
    files must lie at the same place on every machine, and the engine must have the same content.

    `backend` is that of :class:`fiqa_runtime.Scorer`; ``auto`` is decided here and now, and by name everywhere else.
    `device` is that of Scorer too, and of the detector where none is given. `detector` is one that can be pickled; None
    is :class:`fiqa_runtime.Detector` as it comes. With `aligned` the pictures are ready crops, each of which is one
    face without box, landmarks and confidence. The same rows in the same tables give the same bits wherever the
    processors are the same; crops are scored several at a time, so that in other tables their last bits may differ.

    Raises InputError where the network gives no score, or a detector is given for ready crops, DependencyError where
    pyarrow is missing, and what Scorer and Detector raise.
    """

    def __init__(
        self,
        engine: str | Path,
        backend: str = "auto",
        detector: FaceFinder | None = None,
        threads: int = 1,
        aligned: bool = False,
        align: Method = "least-squares",
        device: str | None = None,
    ) -> None:
        require_pyarrow()
        if aligned and detector is not None:
            raise InputError("ready crops need no detector; leave it or aligned out")
        path = find_artefact(engine).absolute()
        card = read_card(path)
        if output_of("score", card.outputs) is None:
            raise InputError(f"{card.model} gives no quality scores; name an artefact of a quality network")
        device_for(card, device)
        if backend == "auto":
            with Scorer(path, backend, threads, device=device) as scorer:
                backend = scorer.backend.name
        finder = None if aligned else pickle.dumps(detector or Detector(threads=threads, device=device))
        self._settings = _Settings(str(path), sha256_of(path), backend, threads, device, align, finder)

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return _arrived, (self._settings,)

    def __repr__(self) -> str:
        what = "crops" if self._settings.detector is None else "photos"
        return f"<FaceRows {Path(self._settings.engine).name} on {self._settings.backend}, {what}>"

    @property
    def threads(self) -> int:
        """Threads of each process."""
        return self._settings.threads

    def __call__(self, table: Any) -> Any:
        """A ``pyarrow.Table`` or ``RecordBatch`` of pictures -> one of faces, row by row.

        Raises InputError where the table has not the columns, types and ids that it should, or where the engine here is
        another one; and what opening raises.
        """
        import pyarrow as pa

        check_rows(table)
        parts = [table] if isinstance(table, pa.RecordBatch) else table.to_batches()
        scored = [part for batch in parts for part in self._in_parts(batch)]
        found = pa.Table.from_batches(scored, row_schema())
        return found if isinstance(table, pa.Table) else _one_batch(found)

    def in_arrow(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Record batches in, record batches out, one for one: the function for Spark's ``mapInArrow``."""
        return map(self, batches)

    def in_pandas(self, frames: Iterable[Any]) -> Iterator[Any]:
        """pandas data frames in, data frames out, one for one: the function for Spark's ``mapInPandas``.

        A face is a dict in a list, a missing value None.
        """
        import pyarrow as pa

        for frame in frames:
            try:
                table = pa.Table.from_pandas(frame, preserve_index=False)
            except (pa.ArrowException, TypeError) as error:
                raise InputError(
                    f"the frame is not rows ({error.args[0]}); give each column values of one type"
                ) from error
            found = self(table)
            columns = {name: found.column(name).to_pylist() for name in found.column_names}
            yield type(frame)(columns, dtype=object)

    def _in_parts(self, batch: Any) -> Iterator[Any]:
        import pyarrow as pa

        opened = _opened_here(self._settings)
        for start in range(0, batch.num_rows, AT_ONCE):
            part = batch.slice(start, AT_ONCE).to_pylist()
            yield pa.RecordBatch.from_pylist(list(opened.rows(part)), row_schema())


def _arrived(settings: _Settings) -> FaceRows:
    rows = object.__new__(FaceRows)
    rows._settings = settings
    return rows


def _one_batch(table: Any) -> Any:
    import pyarrow as pa

    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


class _Opened:
    """An engine, and for photos what finds the faces."""

    def __init__(self, settings: _Settings) -> None:
        path = Path(settings.engine)
        if path.is_file() and sha256_of(path) != settings.sha256:
            raise ArtefactError(f"{path} is another engine here than where the rows were set up; copy that one here")
        limit_opencv(settings.threads)
        self._scorer = Scorer(path, settings.backend, settings.threads, device=settings.device)
        self._assessor: FaceQuality | PortraitQuality | None = None
        if settings.detector is not None:
            detector: FaceFinder = pickle.loads(settings.detector)
            if frame_of(self._scorer.card.input).landmarks == 68:
                landmarkers = open_landmarkers(path, settings.backend, settings.threads, settings.device)
                self._assessor = PortraitQuality(self._scorer, detector, landmarkers)
            else:
                self._assessor = FaceQuality(self._scorer, detector, settings.align)

    def rows(self, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        if self._assessor is None:
            return self._crops(rows)
        return (self._photo(row, self._assessor) for row in rows)

    def _photo(self, row: dict[str, Any], assessor: FaceQuality | PortraitQuality) -> dict[str, Any]:
        try:
            faces, error = assessor.assess(_picture(row)), None
        except LeftOutError as left_out:
            faces, error = left_out.faces, str(left_out)
        except OF_ONE_IMAGE as refused:
            faces, error = [], str(refused)
        except cv2.error as refused:
            faces, error = [], f"OpenCV refuses the picture ({refused.err}); shrink it"
        return {"id": row["id"], "faces": [face.as_dict() for face in faces], "error": error}

    def _crops(self, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        waiting = iter(rows)
        while chunk := list(islice(waiting, most_at_once(self._scorer))):
            read = [_picture_or_error(row) for row in chunk]
            crops = [each for each in read if not isinstance(each, FiqaError)]
            scores = iter(scores_of(crops, self._scorer)) if crops else iter(())
            for row, each in zip(chunk, read, strict=True):
                score = each if isinstance(each, FiqaError) else next(scores)
                if isinstance(score, FiqaError):
                    yield {"id": row["id"], "faces": [], "error": str(score)}
                else:
                    yield {"id": row["id"], "faces": [as_crop_row(score)], "error": None}


def _picture(row: dict[str, Any]) -> Image:
    """The picture of a row; raises InputError where it cannot be read."""
    if row.get("error") is not None:
        raise InputError(row["error"])
    if row.get("bytes") is not None:
        return decode_image(row["bytes"], row["id"])
    if row.get("path") is None:
        raise InputError("the row has neither bytes nor a path; give it one of them")
    return read_image(row["path"])


def _picture_or_error(row: dict[str, Any]) -> Image | InputError:
    try:
        return _picture(row)
    except InputError as error:
        return error


_OPENING = Lock()


def _opened_here(settings: _Settings) -> _Opened:
    """What this process has open for `settings`; a forked process opens anew."""
    with _OPENING:
        return _opened(settings, os.getpid())


@lru_cache(maxsize=4)
def _opened(settings: _Settings, process: int) -> _Opened:
    return _Opened(settings)
