"""Rounding fitted to calibration images: int8 weights and biases whose layers give what the fp32 layers give.

One pass over the fp32 network collects, for every layer, what its kernel sees: the mean patch before and after the
activation is rounded, and the second moments of the latter. The weights are then rounded one input after the other,
each time moving the remaining ones so that the output changes least (Frantar et al., "GPTQ", 2022), and the bias takes
up the mean of what is left (Nagel et al., "Data-Free Quantization", 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
import torch
from fiqa_calibration.histogram import LEVELS
from fiqa_calibration.ranges import Inputs
from fiqa_runtime.console import Report, silent
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.first_order import round_symmetric
from fiqa_export.qdq import Fitted, is_layer, output_axis, weight_scales, weights_of
from fiqa_export.torch_graph import Arguments, Results, TorchGraph, compute

WIDEST = 1152
"""Kernels that see more inputs than this are rounded to the nearest level: their second moments would take too long."""
SAMPLES = 3
"""Patches per input of the kernel, over all images, from which second moments are estimated."""
HELD = 2**29
"""Bytes of second moments held at once; more layers mean more passes over the images."""
DAMPING = 0.01
"""Share of the mean second moment that is added to each: keeps a few patches from being trusted too much."""
BLOCK = 128
"""Inputs rounded before the rest of the weights is moved."""


def fit_rounding(
    model: ir.Model,
    nodes: Sequence[str],
    ranges: Mapping[str, float],
    inputs: Callable[[], Iterable[Inputs]],
    total: int,
    report: Report = silent,
) -> dict[str, Fitted]:
    """int8 weights and a bias for every layer among `nodes` of the fp32 `model`, by name.

    `ranges` are those that the layers will read their activations with; `inputs` gives the same `total` images, one
    at a time, each time it is called.
    """
    graph = TorchGraph(model)
    layers = [node for node in model.graph if node.name in nodes and is_layer(node)]
    fitted: dict[str, Fitted] = {}
    for group in _groups(layers):
        patches = {node: _Patches(node, total) for node in group}

        def collect(node: ir.Node, arguments: Arguments, patches: Mapping[ir.Node, _Patches] = patches) -> Results:
            if node in patches:
                x, name = arguments[0], node.inputs[0].name  # type: ignore[union-attr]
                patches[node].add(x, round_symmetric(x, ranges[str(name)]))  # type: ignore[arg-type]
            return compute(node, arguments)

        for done, feed in enumerate(inputs()):
            report("fit rounding", len(fitted) * total + done * len(group), len(layers) * total)
            with torch.inference_mode():
                graph.run(feed, collect)
        for node, seen in patches.items():
            fitted[str(node.name)] = _fit(node, seen)
    report("fit rounding", len(layers) * total, len(layers) * total)
    return fitted


class _Patches:
    """What the kernel of one layer sees: G groups of K inputs; G = 1 but for grouped convolutions."""

    def __init__(self, node: ir.Node, images: int) -> None:
        weights = weights_of(node)
        self._node = node
        self._kernel = weights.shape[2:] if node.op_type == "Conv" else (1, 1)
        self._shape = (_groups_of(node), _width(node))
        self._per_image = -(-SAMPLES * _width(node) // images)
        self._stream = torch.Generator().manual_seed(0)
        self._sums = torch.zeros(2, *self._shape, dtype=torch.float64)
        self._places = self._sampled = 0
        self._moments = torch.zeros(*self._shape, _width(node)) if _width(node) <= WIDEST else None

    def add(self, x: Tensor, rounded: Tensor) -> None:
        """The layer's activation for some images, before and after rounding."""
        taps = self._taps(x), self._taps(rounded)
        means = [torch.stack([tap.mean((0, 2, 3), dtype=torch.float64) for tap in kind], dim=1) for kind in taps]
        images, _, rows, columns = taps[0][0].shape
        places = images * rows * columns
        self._sums += places * torch.stack(means).view_as(self._sums)
        self._places += places
        if self._moments is not None:
            chosen = torch.randperm(places, generator=self._stream)[: self._per_image]
            image, row, column = chosen // (rows * columns), chosen // columns % rows, chosen % columns
            seen = torch.stack([tap[image, :, row, column].T for tap in taps[1]], dim=1).view(*self._shape, -1)
            self._moments += seen @ seen.transpose(1, 2)
            self._sampled += len(chosen)

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """(G, K) float64, before and after rounding."""
        before, after = self._sums / self._places
        return before, after

    @property
    def moments(self) -> Tensor | None:
        """(G, K, K) second moments after rounding; None where they would be too many."""
        return None if self._moments is None else self._moments / self._sampled

    def _taps(self, x: Tensor) -> list[Tensor]:
        """For each place in the kernel what it sees, (N, C, rows, columns)."""
        if self._node.op_type != "Conv":
            return [x.reshape(-1, x.shape[-1], 1, 1)]
        attributes = self._node.attributes
        top, left, bottom, right = attributes.get_ints("pads", [0] * 4)
        step, gap = attributes.get_ints("strides", [1, 1]), attributes.get_ints("dilations", [1, 1])
        x = F.pad(x, [left, right, top, bottom])
        ends = [side - (kernel - 1) * g for side, kernel, g in zip(x.shape[2:], self._kernel, gap, strict=True)]
        return [
            x[:, :, i * gap[0] : i * gap[0] + ends[0] : step[0], j * gap[1] : j * gap[1] + ends[1] : step[1]]
            for i in range(self._kernel[0])
            for j in range(self._kernel[1])
        ]


def _groups_of(node: ir.Node) -> int:
    return node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1


def _width(node: ir.Node) -> int:
    """Inputs that one output of a layer is computed from."""
    weights = weights_of(node)
    return int(weights.size // weights.shape[output_axis(node)])


def _groups(layers: Sequence[ir.Node]) -> Iterator[list[ir.Node]]:
    """`layers` in order, in groups whose second moments fit into HELD bytes."""
    group: list[ir.Node] = []
    held = 0
    for node in layers:
        size = 4 * _width(node) ** 2 * _groups_of(node) if _width(node) <= WIDEST else 0
        if group and held + size > HELD:
            yield group
            group, held = [], 0
        group.append(node)
        held += size
    if group:
        yield group


def _fit(node: ir.Node, patches: _Patches) -> Fitted:
    weights, axis = weights_of(node), output_axis(node)
    scales = weight_scales(weights, axis)
    before, after = patches.means
    steps = torch.from_numpy(scales).double().view(len(before), -1, 1)
    rows = torch.from_numpy(np.moveaxis(weights, axis, 0).astype(np.float64)).reshape(len(before), -1, before.shape[1])
    levels = _nearest(rows / steps) if patches.moments is None else _compensated(rows / steps, patches.moments)
    expected = rows @ before[..., None]
    shift, alone = (
        (expected - (levels * steps) @ seen[..., None]).flatten().float().numpy() for seen in (after, before)
    )
    int8 = levels.to(torch.int8).numpy().reshape(np.moveaxis(weights, axis, 0).shape)
    return Fitted(np.ascontiguousarray(np.moveaxis(int8, 0, axis)), scales, shift, alone)


def _nearest(levels: Tensor) -> Tensor:
    return levels.round().clamp(-LEVELS, LEVELS)


def _compensated(levels: Tensor, moments: Tensor) -> Tensor:
    """Whole levels (G, O, K) near `levels`, chosen so that what the layers give changes least under `moments`."""
    rest = levels.clone()
    whole = torch.empty_like(rest)
    width = rest.shape[-1]
    matrix = moments.double()
    damping = DAMPING * matrix.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] + 1e-12
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix + damping * torch.eye(width, dtype=torch.float64)))
    upper = torch.linalg.cholesky(inverse, upper=True)
    for start in range(0, width, BLOCK):
        end = min(start + BLOCK, width)
        errors = torch.empty(*rest.shape[:2], end - start, dtype=torch.float64)
        for i in range(start, end):
            whole[..., i] = _nearest(rest[..., i])
            errors[..., i - start] = (rest[..., i] - whole[..., i]) / upper[:, i, i][:, None]
            rest[..., i:end] -= errors[..., i - start, None] * upper[:, None, i, i:end]
        rest[..., end:] -= errors @ upper[:, start:end, end:]
    return whole
