"""Scores with an ONNX file of others that has no card: a network file says how it is fed and what its outputs mean."""

from __future__ import annotations

from pathlib import Path

from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.backends import check_backend, open_backend, require_device
from fiqa_runtime.backends.devices import CPU, check_device
from fiqa_runtime.networks.foreign_backend import ForeignBackend, foreign_cards
from fiqa_runtime.networks.network_file import read_network
from fiqa_runtime.scoring.first_opening import open_elsewhere
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.host import thread_limit

PROCESS = "fiqa_runtime.scoring.foreign_process"
"""Opens such a file before this process does."""


def open_foreign(
    artefact: str | Path,
    network: str | Path,
    backend: str = "auto",
    threads: int | None = None,
    device: str | None = None,
) -> Scorer:
    """A scorer for the ONNX file `artefact`, which the TOML file `network` describes; nothing is exported.

        scorer = open_foreign("theirs.onnx", "net.toml")

    `backend` is a backend's name; `auto` is the first that is installed and can use `device` (None: the processor),
    since there are no canaries to judge by. The file is loaded as it is, so that nothing shows that its scores are
    right: ``fiqa-export net.toml`` measures that.

    Raises InputError where the two do not fit, and what :func:`fiqa_runtime.backends.open_backend` raises.
    """
    path = find_artefact(artefact)
    described = read_network(Path(network))
    card, own = foreign_cards(path, described)
    place = check_device(device or CPU)
    name = require_device(place)[0] if backend == "auto" else backend
    check_backend(name, path, own, place)
    arguments = (str(path.absolute()), str(Path(network).absolute()), name, place)
    open_elsewhere(path, PROCESS, *arguments, advice="get the file again, or choose another --backend")
    opened = open_backend(name, path.resolve(), own, threads or thread_limit(), device=place)
    return Scorer(path, ForeignBackend(opened, path, described), threads, card=card, device=place)
