"""The process in which a detector of unknown origin is opened first; it is started by name, never imported.

Its arguments are PATH BACKEND DEVICE.
"""

from __future__ import annotations

import sys

import numpy as np

from fiqa_runtime.errors import FiqaError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.scoring.first_opening import OPENED


def main() -> None:
    """Entry point of the process: looks for faces in a small black picture."""
    path, backend, device = sys.argv[1:]
    try:
        Detector(path, backend=backend, device=device).detect(np.zeros((64, 96, 3), np.uint8))
    except FiqaError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(FiqaError.exit_code) from None
    sys.stdout.write(f"{OPENED}\n")
