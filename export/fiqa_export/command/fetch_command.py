"""``fiqa-export --fetch``: brings published weights to this machine without exporting anything."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.error import URLError
from urllib.request import Request, urlopen

from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.artefact.weight_files import address_of, find, locate
from fiqa_runtime.artefact.zoo import DETECTOR, GROUPS, MODELS
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.system.download import TransferError
from fiqa_runtime.terminal.console import progress_bar, tell

TIMEOUT = 30.0


def fetch_weights(names: Sequence[str], weights: str | None) -> None:
    """Fetch the weight set `weights` (None: the first) of every network of `names`, and say sizes before.

    What is here already is verified. A file that cannot be fetched does not keep the others from coming. Raises
    InputError for a weight set that a network does not have, and where some files could not be fetched.
    """
    files = _files(names, weights)
    here = {file: find(checkpoint) for file, checkpoint in files.items()}
    missing = [file for file, path in here.items() if path is None]
    tell(f"{file} is here: {path}" for file, path in here.items() if path is not None)
    tell(f"to fetch: {file}, {_size(files[file])}, from {files[file].page}" for file in missing)
    failed = []
    with progress_bar() as report:
        for file, checkpoint in files.items():

            def progress(done: int, total: int | None, file: str = file) -> None:
                report(f"{file} (MB)", done >> 20, (total or done) >> 20)

            try:
                path = locate(checkpoint, progress=progress)
            except FiqaError as error:
                failed.append(str(error))
                continue
            if file in missing:
                tell([f"fetched {path}"])
    tell(failed[1:])
    if failed:
        raise InputError(f"{len(failed)} of {len(files)} files cannot be fetched: {failed[0]}")


def _files(names: Sequence[str], weights: str | None) -> dict[str, Checkpoint]:
    """The files of the networks by name; networks may share some. `all` brings the face detector too."""
    files: dict[str, Checkpoint] = {}
    for name in names:
        sets = MODELS[name].weights
        if weights is not None and weights not in sets:
            raise InputError(f"{name} has no weight set '{weights}'; choose one of {', '.join(sets)}")
        chosen = sets[weights] if weights is not None else next(iter(sets.values()))
        files |= {checkpoint.file: checkpoint for checkpoint in chosen}
    if tuple(names) == GROUPS["all"]:
        files[DETECTOR.file] = DETECTOR
    return files


def _size(checkpoint: Checkpoint) -> str:
    """How much there is to fetch, as the server says it before it begins."""
    try:
        request = Request(address_of(checkpoint), headers={"User-Agent": "fiqa-edge"})
        with urlopen(request, timeout=TIMEOUT) as response:
            length = response.length
    except (FiqaError, TransferError, URLError, OSError):
        return "of unknown size"
    return "of unknown size" if length is None else f"{length / 1e6:.1f} MB"
