"""Predicts what int8 does to a network's outputs, node by node, from one backward pass per image.

Rounding moves a tensor by a known amount. That amount times the gradient of the output at the tensor is, to first
order, what moves the output. So the harm of each node is known without running the network once per node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir
import torch
from fiqa_calibration.activations import Inputs
from fiqa_calibration.histogram import LEVELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.seeded import rng
from fiqa_runtime.system.progress import Report, silent
from numpy.typing import NDArray
from torch import Tensor

from fiqa_export.int8.qdq import activations_read, candidates, dequantised, is_layer, nearest, weights_of
from fiqa_export.onnx_on_torch.graph import Arguments, Results, TorchGraph, Values, compute

Shifts = NDArray[np.float64]
"""(targets, images): how far each target moves, in units of that target's spread over the images."""
Methods = Mapping[str, Mapping[str, float]]
"""The largest magnitude that int8 represents, by method and tensor."""

STRETCH = 2**28
"""Bytes of activations, for an image of nominal size, through which gradients are computed at once."""


@dataclass(frozen=True)
class FirstOrder:
    """Predicted shifts of the targets, which are the score and a random projection of all other outputs."""

    activations: Mapping[str, Mapping[str, Mapping[str, Shifts]]]
    """Shifts from rounding activations, by method, by tensor and by the node that reads it in int8."""
    weights: Mapping[str, Shifts]
    """Shifts from rounding weights to the nearest level, by layer."""

    def best_methods(self) -> dict[str, str]:
        """The method whose range moves the targets least, for every tensor."""

        def power(method: str, tensor: str) -> float:
            return _power(np.sum(list(self.activations[method][tensor].values()), axis=0))

        tensors = next(iter(self.activations.values()))
        return {tensor: min(self.activations, key=lambda method: power(method, tensor)) for tensor in tensors}

    def hurt(self, methods: Mapping[str, str]) -> dict[str, float]:
        """Root mean square, by node, of the shift that rounding its inputs causes, each rounded by its method."""
        shifts: dict[str, Shifts] = {}
        for tensor, method in methods.items():
            for node, shift in self.activations[method][tensor].items():
                shifts[node] = shifts[node] + shift if node in shifts else shift
        return {node: _power(shift) ** 0.5 for node, shift in shifts.items()}

    def hurt_by_weights(self) -> dict[str, float]:
        """Root mean square, by layer, of the shift that rounding its weights causes."""
        return {node: _power(shift) ** 0.5 for node, shift in self.weights.items()}


def first_order(
    model: ir.Model, inputs: Iterable[Inputs], methods: Methods, total: int = 0, report: Report = silent
) -> FirstOrder:
    """Predict what int8 does to the fp32 `model` on every one of `inputs` (one image each), tensor by tensor.

    `methods` are the ranges to try. Raises InputError for fewer than two images, from which no spread can be computed.
    """
    tape = _Tape(model, methods)
    values: list[list[float]] = []
    for done, feed in enumerate(inputs):
        report("predict what int8 moves", done, total or done + 1)
        values.append(tape.play(feed))
    report("predict what int8 moves", len(values), len(values))
    if len(values) < 2:
        raise InputError("one image cannot tell how scores spread; give more")
    spread = np.std(values, axis=0)
    spread = np.where(spread > 0, spread, 1)[:, None]
    nested: dict[str, dict[str, dict[str, Shifts]]] = {method: defaultdict(dict) for method in methods}
    for (method, tensor, node), shifts in tape.activations.items():
        nested[method][tensor][node] = np.reshape(shifts, (len(values), -1)).T / spread
    return FirstOrder(
        nested, {n: np.reshape(shifts, (len(values), -1)).T / spread for n, shifts in tape.weights.items()}
    )


def round_symmetric(x: Tensor, largest: float) -> Tensor:
    """`x` through QuantizeLinear and DequantizeLinear."""
    step = (largest or 1) / LEVELS
    return (x / step).round().clamp(-LEVELS - 1, LEVELS) * step


class _Tape:
    """Runs the graph in fp32 so that gradients reach everything that a candidate reads and writes.

    Each gradient is used as soon as it is computed and not kept: `activations` and `weights` collect single numbers.
    What gradients need is held for one stretch of the graph at a time, and that stretch is computed a second time for
    it (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
    """

    def __init__(self, model: ir.Model, methods: Methods) -> None:
        self._graph = TorchGraph(model)
        self._stretches = self._graph.stretches(STRETCH)
        self._methods = methods
        self._candidates = set(candidates(model.graph))
        self._stream = rng("first order")
        self.activations: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        """Shift of every target, image after image, by method, tensor and the node that reads it."""
        self.weights: dict[str, list[float]] = defaultdict(list)
        """Shift of every target, image after image, by layer."""

    def play(self, feed: Inputs) -> list[float]:
        """The targets for one image; their backward passes append to `activations` and `weights`."""
        *earlier, last = self._stretches
        values = self._graph.enter(feed)
        starts: list[Values] = []
        with torch.no_grad():
            for stretch in earlier:
                starts.append(dict(values))
                self._graph.advance(values, stretch)
        start, values = self._recorded(values, last)
        targets = self._targets(self._graph.outputs(values))
        gradients = _backward(start, [[(target, torch.ones_like(target))] for target in targets])
        for stretch, known in zip(reversed(earlier), reversed(starts), strict=True):
            start, values = self._recorded(known, stretch)
            gradients = _backward(start, [[(values[v], g) for v, g in found.items()] for found in gradients])
        return [float(target.detach()) for target in targets]

    def _recorded(self, known: Values, stretch: range) -> tuple[Values, Values]:
        """The values before and after `stretch`, computed so that gradients flow from the latter to the former."""
        start = {v: x.detach().requires_grad_() if x.is_floating_point() else x for v, x in known.items()}
        values = dict(start)
        self._graph.advance(values, stretch, self._execute)
        return start, values

    def _targets(self, outputs: Mapping[str, Tensor]) -> list[Tensor]:
        targets = [value.sum() for value in outputs.values() if value.numel() == 1]
        others = [self._projection(value) for value in outputs.values() if value.numel() > 1]
        targets += [torch.stack(others).sum()] if others else []
        everything = torch.stack(targets).sum()
        return [target + 0 * everything for target in targets]  # every tensor gets a gradient from every target

    def _execute(self, node: ir.Node, arguments: Arguments) -> Results:
        """Compute `node`; a candidate gets its own view of the activations that it reads in int8."""
        if node not in self._candidates:
            return compute(node, arguments)
        for value in activations_read(node):
            index = list(node.inputs).index(value)
            tensor = arguments[index]
            assert tensor is not None
            own = tensor.view_as(tensor) if tensor.requires_grad else tensor.clone().requires_grad_()
            told = partial(self._read, str(value.name), str(node.name), own.detach())
            own.register_hook(told)  # type: ignore[no-untyped-call]
            arguments[index] = own
        results = compute(node, arguments)
        if is_layer(node):
            told = partial(self._written, node, None if arguments[0] is None else arguments[0].detach())
            results[0].register_hook(told)  # type: ignore[no-untyped-call]
        return results

    def _read(self, name: str, node: str, x: Tensor, gradient: Tensor) -> None:
        for method, ranges in self._methods.items():
            error = round_symmetric(x, ranges[name]) - x
            self.activations[method, name, node].append(float((gradient * error).sum()))

    def _written(self, node: ir.Node, x: Tensor | None, gradient: Tensor) -> None:
        self.weights[str(node.name)].append(float((gradient * _weights_error(node, x)).sum()))

    def _projection(self, value: Tensor) -> Tensor:
        signs = torch.from_numpy(2.0 * self._stream.integers(0, 2, value.shape) - 1).float()
        projection: Tensor = (signs * value).sum() / (value.detach().std() * value.numel() ** 0.5 + 1e-12)
        return projection


def _backward(start: Values, ends: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> list[Values]:
    """Gradients of each target at the tensors `start`, from those at tensors that were computed from them."""
    found: list[Values] = []
    for position, end in enumerate(ends, start=1):
        tensors, gradients = zip(*(pair for pair in end if pair[0].requires_grad), strict=True)
        torch.autograd.backward(tensors, gradients, retain_graph=position < len(ends))
        found.append({value: tensor.grad for value, tensor in start.items() if tensor.grad is not None})
        for tensor in start.values():
            tensor.grad = None
    return found


def _weights_error(node: ir.Node, x: Tensor | None) -> Tensor:
    """How the output of the layer changes when its weights are rounded."""
    error = dequantised(node, nearest(node)) - weights_of(node)
    return compute(node, [x, torch.from_numpy(error)])[0]


def _power(shifts: Shifts) -> float:
    """Mean over images of the summed squares over targets."""
    return float((shifts**2).sum(axis=0).mean())
