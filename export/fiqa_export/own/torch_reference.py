"""A user's torch module as a reference: its outputs picked, reduced and named as the network file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.networks.network_file import NetworkFile, OutputTable
from torch import Tensor, nn

from fiqa_export.models.reference import Reference

DIMENSIONS = {"score": 2, "map": 4, "embedding": 2}
"""Axes of each kind of output."""


class OwnReference(Reference):
    """Normalised float (N, 3, H, W) in the colour order of the file -> the file's outputs in order.

    The user's module is `network`, so that its parameters have the names of his checkpoint behind ``network.``.
    """

    def __init__(self, spec: ModelSpec, network: nn.Module, file: NetworkFile) -> None:
        super().__init__(spec)
        self.network = network
        self._tables = file.outputs
        bins = {table.name: torch.tensor(table.bins) for table in file.outputs if table.bins is not None}
        for name, values in bins.items():
            self.register_buffer(f"bins_{name}", values, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        results = self.network(x)
        return tuple(self._output(results, table) for table in self._tables)

    def _output(self, results: object, table: OutputTable) -> Tensor:
        value = picked(results, table)
        flat = value.flatten(1) if value.ndim > 1 else value.unsqueeze(1)
        if table.reduce == "mean":
            return flat.mean(1, keepdim=True)
        if table.reduce == "l2-norm":
            return (flat * flat).sum(1, keepdim=True).sqrt()
        if table.reduce == "expectation":
            bins = getattr(self, f"bins_{table.name}")
            if flat.shape[1] != len(bins):
                raise InputError(f"'{table.name}' has {flat.shape[1]} values and bins has {len(bins)}; correct bins")
            expected: Tensor = flat @ bins.to(flat.dtype).unsqueeze(1)
            return expected
        shaped = _in_shape(value, table)
        if table.reduce == "negate":
            return -shaped
        return 1 - shaped if table.reduce == "one-minus" else shaped


def picked(results: object, table: OutputTable) -> Tensor:
    """The output of the user's module that `table` is made of; raises InputError where there is none."""
    if isinstance(results, Tensor):
        results = [results]
    found: object = None
    if isinstance(results, Mapping):
        known = ", ".join(map(str, results))
        found = results.get(table.of) if isinstance(table.of, str) else dict(enumerate(results.values())).get(table.of)
    elif isinstance(results, Sequence):
        known = f"0 to {len(results) - 1}"
        found = dict(enumerate(results)).get(table.of) if isinstance(table.of, int) else None
    else:
        known = type(results).__name__
    if not isinstance(found, Tensor):
        raise InputError(f"the network has no output {table.of!r} (it gives {known}); correct 'of' of '{table.name}'")
    return found


def _in_shape(value: Tensor, table: OutputTable) -> Tensor:
    """`value` with the axes of its kind."""
    wanted = DIMENSIONS[table.kind]
    if value.ndim == wanted - 1:
        value = value.unsqueeze(1)
    if value.ndim != wanted or (table.kind != "embedding" and value.shape[1] != 1):
        raise InputError(
            f"'{table.name}' is a {table.kind} of shape {tuple(value.shape[1:])} per face; "
            + ('set reduce, as in reduce = "mean"' if table.kind == "score" else "one channel is taken")
        )
    return value
