"""Every error that fiqa-edge raises on purpose.

    FiqaError                    base; ``exit_code`` 2
    ├── InputError               a path, an image or an argument cannot be used
    ├── ArtefactError            an ONNX file or plan is missing, damaged or not what its card says
    │   └── CardError            the card itself is missing, damaged, of another file or too new
    ├── CheckpointError          weights are missing, unsafe or do not fit the network
    │   └── FetchError           weights could not be downloaded
    ├── DependencyError          an optional package is not installed
    ├── UnsupportedError         this backend cannot run this network
    └── VerdictError             a parity or budget verdict failed; ``exit_code`` 3

Every message is one line and ends with what to do about it.
"""

from __future__ import annotations


class FiqaError(Exception):
    """Base class; ``str(error)`` is one line for people, ``exit_code`` the status a command ends with."""

    exit_code = 2


class InputError(FiqaError):
    """A path, an image or an argument cannot be used."""


class ArtefactError(FiqaError):
    """An ONNX file or plan is missing, damaged or not what its card says."""


class CardError(ArtefactError):
    """The card is missing, damaged, of another file or of a newer version."""


class CheckpointError(FiqaError):
    """Weights are missing, unsafe to load or do not fit the network."""


class FetchError(CheckpointError):
    """Weights could not be downloaded."""


class DependencyError(FiqaError):
    """An optional package is not installed; the message names the extra that brings it."""


class UnsupportedError(FiqaError):
    """This backend cannot run this network; the message names the operator where it is known."""


class VerdictError(FiqaError):
    """A parity or budget verdict failed."""

    exit_code = 3
