"""The process in which an ONNX file of others is opened first; it is started by name, never imported.

Its arguments are ARTEFACT NETWORK BACKEND DEVICE.
"""

from __future__ import annotations

import sys

import numpy as np

from fiqa_runtime.errors import FiqaError
from fiqa_runtime.scoring.first_opening import OPENED
from fiqa_runtime.scoring.foreign import open_foreign


def main() -> None:
    """Entry point of the process: runs the file on a black crop."""
    artefact, network, backend, device = sys.argv[1:]
    try:
        with open_foreign(artefact, network, backend, device=device) as scorer:
            scorer.outputs([np.zeros((scorer.card.input.height or 1, scorer.card.input.width or 1, 3), np.uint8)])
    except FiqaError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(FiqaError.exit_code) from None
    sys.stdout.write(f"{OPENED}\n")
