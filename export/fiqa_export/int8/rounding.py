"""Fits rounding to calibration images: finds int8 weights and biases with which a mixture gives what the fp32 network
gives.

The images go through the fp32 network and the mixture side by side, layer by layer. The weights of a layer are first
adjusted to the activations that it gets after the rounding before it. Then they are rounded one input after the other,
and each time the weights that are left are moved so that the output changes least (Frantar et al., "GPTQ", 2022; Li et
al., "GPTAQ", 2025). The bias takes up the mean of the error that is left (Nagel et al., "Data-Free Quantization",
2019), and the images go on through the mixture with the layer as it will be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from fiqa_calibration.activations import Inputs
from fiqa_calibration.histogram import LEVELS
from fiqa_runtime.system.progress import Report, silent
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.graph.loading import open_graph
from fiqa_export.graph.memory import trim
from fiqa_export.int8.qdq import Fitted, dequantised, nearest, output_axis, weight_scales, weights_of
from fiqa_export.onnx_on_torch.arguments import ints, window_pads
from fiqa_export.onnx_on_torch.graph import Results, TorchGraph, compute

WIDEST = 1152
"""Kernels with more inputs than this are rounded to the nearest level, because their second moments would take too
long."""
SAMPLES = 6
"""Number of patches per input of the kernel, over all images, from which second moments are estimated."""
FEWEST = 4096
"""Fewest patches, where the images have that many."""
DAMPING = 0.03
"""Share of the mean second moment that is added to each, so that a few patches are not trusted too much."""
GROWTH = 2**24
"""Bytes of new int8 weights after which freed memory between them is given back to the operating system."""
BLOCK = 128
"""Number of inputs that are rounded before the rest of the weights is moved."""


class Rounding:
    """Fits the weights of any mixture of one fp32 network to one set of images."""

    def __init__(self, fp32: Path, images: Sequence[Inputs], report: Report = silent) -> None:
        """`fp32` is an ONNX file, opened for each mixture; `images` are network inputs, one image each."""
        self._fp32, self._images, self._report = fp32, images, report

    def __call__(self, mixture: ir.Model, layers: Collection[str]) -> dict[str, Fitted]:
        """int8 weights and biases for the `layers` of `mixture`, by name.

        `mixture` is the fp32 network with quantised activations; the weights of its `layers` do not matter. It takes
        twice the memory of what one layer reads and writes for all images.
        """
        fp32 = open_graph(self._fp32)
        share_weights(fp32, mixture)
        graphs = TorchGraph(fp32), TorchGraph(mixture)
        exact, rough = ([_Walk(graph, feed) for feed in self._images] for graph in graphs)
        names = [str(node.name) for node in mixture.graph if node.name in layers]
        fitted: dict[str, Fitted] = {}
        grown = 0
        with torch.inference_mode():
            for name in names:
                self._report("fit rounding", len(fitted), len(names))
                fitted[name] = _fit(name, exact, rough)
                grown += fitted[name].levels.nbytes
                if grown > GROWTH:
                    trim()
                    grown = 0
        self._report("fit rounding", len(fitted), len(names))
        return fitted


def share_weights(fp32: ir.Model, mixture: ir.Model) -> None:
    """Let both graphs share the weights that they read from the file of `fp32`, so that these are in memory once."""
    for name, value in mixture.graph.initializers.items():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = fp32.graph.initializers[name].const_value


class _Walk:
    """One image on its way through a graph, stopping at layers."""

    def __init__(self, graph: TorchGraph, feed: Inputs) -> None:
        self._walk = graph.walk(graph.enter(feed), graph.nodes)
        self.node, self.arguments = next(self._walk)
        self._results: Results | None = None

    def reach(self, layer: str) -> None:
        """Compute everything before `layer`; `node` and `arguments` are then those of the layer."""
        while self._results is not None or self.node.name != layer:
            results = self._results if self._results is not None else compute(self.node, self.arguments)
            self._results = None
            self.node, self.arguments = self._walk.send(results)

    def leave(self, result: Tensor) -> None:
        """Go on behind the layer as if it had given `result`."""
        self._results = (result,)


def _fit(layer: str, exact: Sequence[_Walk], rough: Sequence[_Walk]) -> Fitted:
    """Find the constants of `layer` and move every image behind it; in the mixture with what these constants give."""
    for walk in (*exact, *rough):
        walk.reach(layer)
    node = exact[0].node
    pairs = [(_activation(e), _activation(r)) for e, r in zip(exact, rough, strict=True)]
    fitted = _rounded(node, pairs)
    weights = torch.from_numpy(dequantised(node, fitted))
    expected = [compute(node, walk.arguments)[0] for walk in exact]
    given = [compute(node, [_activation(walk), weights, *walk.arguments[2:]])[0] for walk in rough]
    shift = _mean(node, expected) - _mean(node, given)
    if node.op_type == "MatMul":
        shift = torch.zeros_like(shift)
    sides = [-1, 1, 1] if node.op_type == "Conv" else [-1]
    for walk, result in zip(exact, expected, strict=True):
        walk.leave(result)
    for walk, result in zip(rough, given, strict=True):
        walk.leave(result + shift.view(sides).float())
    return Fitted(fitted.levels, fitted.scales, shift.float().numpy())


def _activation(walk: _Walk) -> Tensor:
    tensor = walk.arguments[0]
    assert tensor is not None
    return tensor


def _mean(node: ir.Node, results: Sequence[Tensor]) -> Tensor:
    """Mean per output channel (C,) float64."""
    axis = 1 if node.op_type == "Conv" else -1
    sums = [result.double().movedim(axis, 0).flatten(1).sum(1) for result in results]
    return torch.stack(sums).sum(0) * len(sums[0]) / sum(result.numel() for result in results)


def _rounded(node: ir.Node, pairs: Sequence[tuple[Tensor, Tensor]]) -> Fitted:
    """int8 weights of a layer; `pairs` are its activations for several images, in the fp32 network and in the
    mixture."""
    weights, axis = weights_of(node), output_axis(node)
    groups, width = _groups_of(node), _width(node)
    if width > WIDEST:
        return nearest(node)
    outputs_first = np.moveaxis(weights, axis, 0)
    rows = torch.from_numpy(outputs_first.astype(np.float64)).reshape(groups, -1, width)
    rows, moments = _moved(rows, _Patches(node, len(pairs)), pairs)
    moved = np.moveaxis(rows.numpy().reshape(outputs_first.shape), 0, axis).astype(np.float32)
    scales = weight_scales(moved, axis)
    levels = _compensated(rows / torch.from_numpy(scales).double().view(groups, -1, 1), moments)
    int8 = np.moveaxis(levels.to(torch.int8).numpy().reshape(outputs_first.shape), 0, axis)
    return Fitted(np.ascontiguousarray(int8), scales)


def _moved(rows: Tensor, patches: _Patches, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Weights (G, O, K) that give from rounded activations what `rows` give from exact ones; and the second moments."""
    for exact, rough in pairs:
        patches.add(exact, rough)
    moments, cross = (matrix.double() / patches.count for matrix in (patches.moments, patches.cross))
    width = moments.shape[-1]
    share = max(DAMPING, width / patches.count)
    mean = moments.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    damping = (share * mean + 1e-12) * torch.eye(width, dtype=torch.float64)
    moments = moments + damping
    wanted = (rows @ (cross + damping)).transpose(1, 2)
    return torch.cholesky_solve(wanted, torch.linalg.cholesky(moments)).transpose(1, 2), moments


class _Patches:
    """Second moments of what the kernel of one layer sees: G groups of K inputs. G is 1 except for grouped
    convolutions."""

    def __init__(self, node: ir.Node, images: int) -> None:
        weights = weights_of(node)
        self._node = node
        self._kernel = weights.shape[2:] if node.op_type == "Conv" else (1, 1)
        self._shape = (_groups_of(node), _width(node))
        self._per_image = -(-max(SAMPLES * _width(node), FEWEST) // images)
        self._stream = torch.Generator().manual_seed(0)
        self.moments = torch.zeros(*self._shape, _width(node))
        """(G, K, K) sums over patches of rounded activations."""
        self.cross = torch.zeros_like(self.moments)
        """(G, K, K) the same sums of exact with rounded activations."""
        self.count = 0
        """Number of patches."""

    def add(self, exact: Tensor, rough: Tensor) -> None:
        """Add the layer's activation for one image, in the fp32 network and in the mixture."""
        both = self._taps(exact), self._taps(rough)
        images, _, rows, columns = both[0][0].shape
        chosen = torch.randperm(images * rows * columns, generator=self._stream)[: self._per_image]
        image, row, column = chosen // (rows * columns), chosen // columns % rows, chosen % columns
        before, after = (
            torch.stack([tap[image, :, row, column].T for tap in taps], dim=1).view(*self._shape, -1) for taps in both
        )
        self.moments += after @ after.transpose(1, 2)
        self.cross += before @ after.transpose(1, 2)
        self.count += len(chosen)

    def _taps(self, x: Tensor) -> list[Tensor]:
        """What each place of the kernel sees, (N, C, rows, columns)."""
        if self._node.op_type != "Conv":
            return [x.reshape(-1, x.shape[-1], 1, 1)]
        step, gap = ints(self._node, "strides", 1, 2), ints(self._node, "dilations", 1, 2)
        top, left, bottom, right = window_pads(self._node, x, list(self._kernel), step, gap)
        if any((left, right, top, bottom)):
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
    """Number of inputs from which one output of a layer is computed."""
    weights = weights_of(node)
    return int(weights.size // weights.shape[output_axis(node)])


def _nearest(levels: Tensor) -> Tensor:
    return levels.round().clamp(-LEVELS, LEVELS)


def _compensated(levels: Tensor, moments: Tensor) -> Tensor:
    """Whole levels (G, O, K) near `levels`, chosen so that the outputs change least for inputs with these second
    `moments`."""
    rest = levels.clone()
    whole = torch.empty_like(rest)
    width = rest.shape[-1]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
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
