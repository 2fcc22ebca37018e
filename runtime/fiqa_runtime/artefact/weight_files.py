"""Find published weight files on this machine, or download them once, whole and verified.

    path = locate(checkpoint)

Searched in this order: ``$FIQA_WEIGHTS_DIR``, ``./weights``, the user cache, what this project brings itself, and
the installed package that publishes the file. What is in none of them is downloaded into the user cache (see
:mod:`fiqa_runtime.system.download`).
"""

from __future__ import annotations

import errno
import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.errors import CheckpointError, DependencyError, FetchError, InputError
from fiqa_runtime.system.files import is_readable_file, is_searchable_folder, sha256_of, user_cache

if TYPE_CHECKING:
    from fiqa_runtime.system.download import Progress


def shipped_weights() -> Path:
    """Folder of the weights that this project brings: in the installed package, or in the checkout it runs from."""
    installed = Path(__file__).parents[1] / "weights"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "weights" / "standin"


def search_folders() -> list[Path]:
    """Where weights are looked for, in order; raises InputError where FIQA_WEIGHTS_DIR names no folder."""
    folders = [Path("weights"), user_cache(), shipped_weights()]
    named = os.environ.get("FIQA_WEIGHTS_DIR")
    if named and not is_searchable_folder(Path(named)):
        raise InputError(
            f"FIQA_WEIGHTS_DIR is set to {named}, which is not a folder that you may search; correct or unset it"
        )
    return [Path(named), *folders] if named else folders


def locate(checkpoint: Checkpoint, download: bool = True, progress: Progress | None = None) -> Path:
    """The path of the file of `checkpoint`, downloaded into the user cache if it is not on this machine.

    A file whose SHA-256 is known (published, or recorded in ``<file>.sha256`` when it was downloaded) is
    verified; that reads the whole file once per process, a few seconds for gigabytes.

    Raises CheckpointError where a file is there but is not the expected one, FetchError where there is none
    and it cannot be downloaded (or `download` is False), InputError where FIQA_WEIGHTS_DIR names no folder.
    """
    path = find(checkpoint)
    if path is not None:
        _verify(path, checkpoint)
        return path
    if not download:
        raise _fetch_error(checkpoint, "is not on this machine")
    from fiqa_runtime.system.download import TransferError, download_file  # with HTTP and TLS, which take long to load

    target = user_cache() / checkpoint.file
    try:
        download_file(address_of(checkpoint), target, partial(_accept, checkpoint, target), progress)
    except (TransferError, DependencyError) as error:
        raise _fetch_error(checkpoint, f"cannot be downloaded: {error}") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full; make room and run again, it continues" if full else error.strerror
        raise _fetch_error(checkpoint, f"cannot be saved in {target.parent}: {reason}") from error
    return target


def address_of(checkpoint: Checkpoint) -> str:
    """The address of the bytes of `checkpoint`: its own, or the one that its Google Drive folder gives.

    Raises FetchError where neither is known, and what :func:`fiqa_runtime.system.drive.drive_address` raises.
    """
    if checkpoint.url is not None:
        return checkpoint.url
    from fiqa_runtime.system.drive import drive_address, is_drive_folder

    if is_drive_folder(checkpoint.page):
        return drive_address(checkpoint.page, checkpoint.file)
    raise _fetch_error(checkpoint, "has no address for direct download")


def find(checkpoint: Checkpoint) -> Path | None:
    """Where the file of `checkpoint` is on this machine, not yet verified; None where it is nowhere."""
    for folder in search_folders():
        path = folder / checkpoint.file
        if is_readable_file(path):
            return path
    return None if checkpoint.package is None else _in_package(checkpoint.package)


def _in_package(place: str) -> Path | None:
    """The file `place`, as in `mtcnn:assets/weights/pnet.lz4`, of an installed package; None where there is none.

    The package is not imported.
    """
    package, _, file = place.partition(":")
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((path for folder in folders if is_readable_file(path := Path(folder) / file)), None)


def recorded_sha256(path: Path) -> str | None:
    """The hash that was recorded beside `path` when it was downloaded, None where there is no record."""
    record = _record(path)
    return record.read_text("utf-8", errors="replace").partition(" ")[0] if record.is_file() else None


def _accept(checkpoint: Checkpoint, target: Path, part: Path) -> None:
    """Verify the complete `part` before it gets its name, or record its hash where none is published."""
    digest = sha256_of(part)
    if checkpoint.sha256 is None:
        _record(target).write_text(f"{digest}  {target.name}\n", "utf-8")
    elif digest != checkpoint.sha256:
        part.unlink()
        reason = f"arrived with SHA-256 {digest} instead of {checkpoint.sha256} and was deleted"
        raise _fetch_error(checkpoint, reason)


def _verify(path: Path, checkpoint: Checkpoint) -> None:
    published, recorded = checkpoint.sha256, recorded_sha256(path)
    if published and sha256_of(path) != published:
        raise CheckpointError(
            f"{path} is not the published file: its SHA-256 is {sha256_of(path)}, not {published}; "
            "delete it to have it downloaded again, or pass its path to use it as your own"
        )
    if not published and recorded and sha256_of(path) != recorded:
        raise CheckpointError(
            f"{path} has changed since it was downloaded (SHA-256 {sha256_of(path)}, recorded {recorded}); "
            f"delete it to have it downloaded again, or delete {_record(path).name} to accept it"
        )


def _fetch_error(checkpoint: Checkpoint, reason: str) -> FetchError:
    place = (search_folders()[0] / checkpoint.file).absolute()
    if checkpoint.package is not None:
        package = checkpoint.package.partition(":")[0]
        return FetchError(f"{checkpoint.file} {reason}; it comes with pip install 'fiqa-edge[{package}]'")
    return FetchError(f"{checkpoint.file} {reason}; get it from {checkpoint.page} and save it as {place}")


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
