"""Makes an int8 ONNX file with explicit QuantizeLinear and DequantizeLinear, and searches for what must stay in
float32.

A layer computes in int8 where its activations and its weights are int8. It can go back to float32 in two ways. Either
only its activations do: the file keeps the int8 weights, so this costs speed but no bytes. Or its weights go back too.
What prevents the most harm for its cost goes back first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
from fiqa_calibration.mixture_search import Judged, SearchResult, ranking, search
from fiqa_calibration.ranges import Ranges
from fiqa_runtime.system.progress import Report, silent

from fiqa_export.graph.files import size_of
from fiqa_export.graph.loading import open_graph, open_graph_of, save_graph
from fiqa_export.int8.qdq import Fitted, candidates, insert_qdq, is_layer, macs, quantise_activations, weights_of

WEIGHTS = " (weights)"
"""Suffix to the name of a layer: its weights stay in float32, not only its activations."""
HARMLESS = 0.07
"""Predicted shift of the outputs that the first mixture of the search may have, in units of their spread over
images."""

Judge = Callable[[Path], Judged]
"""Says what an int8 file does to the outputs."""
Fit = Callable[[ir.Model, Collection[str]], Mapping[str, Fitted]]
"""The int8 constants of the named layers of a mixture, by name."""


def to_int8(
    fp32: Path,
    base: Path,
    int8: Path,
    ranges: Ranges,
    fit: Fit | None,
    size: tuple[int, int],
    judge: Judge,
    journal: Path | None = None,
    key: str = "",
    report: Report = silent,
) -> SearchResult:
    """Write to `int8` the mixture of int8 and float32 that passes `judge` and keeps the least in float32.

    `base` is the file `fp32` with its channels equalised as `ranges` say. `fit` gives the int8 weights of each mixture;
    without it they are rounded to the nearest level. Operations are counted for images of `size` (height, width).
    `journal` and `key` are those of :func:`fiqa_calibration.mixture_search.search`. Where no mixture passes, the best
    one is written; :meth:`SearchResult.require` then raises.
    """
    mixtures = _Mixtures(fp32, base, int8, ranges, fit, size)

    def evaluate(kept: frozenset[str]) -> Judged:
        facts = mixtures.write(kept)
        if not mixtures.reduces(kept):
            return Judged(math.nan, ("nothing is left in int8",), facts)
        verdict = judge(int8)
        return Judged(verdict.quality, verdict.failures, {**facts, **verdict.facts})

    first = mixtures.first_guess() if ranges.kept is None else len(ranges.kept)
    found = search(mixtures.hurt, mixtures.cost, evaluate, journal, key, report, first)
    if mixtures.written != frozenset(found.chosen.kept):
        mixtures.write(found.chosen.kept)
    onnx.checker.check_model(str(int8), full_check=True)
    return found


def by_node(kept: Collection[str]) -> dict[str, str]:
    """What the search kept in float32, in the form of :attr:`fiqa_runtime.artefact.facts.Conversion.kept_in_fp32`."""
    named = {name.removesuffix(WEIGHTS): "activations" for name in kept}
    return named | {name.removesuffix(WEIGHTS): "all" for name in kept if name.endswith(WEIGHTS)}


class _Mixtures:
    """Writes mixtures; holds everything that does not change from one mixture to the next."""

    def __init__(
        self, fp32: Path, base: Path, int8: Path, ranges: Ranges, fit: Fit | None, size: tuple[int, int]
    ) -> None:
        self._base, self._int8, self._fp32_size = base, int8, size_of(fp32)
        self._ranges, self._fit = ranges.chosen, fit
        self.written: frozenset[str] | None = None
        """What stays in float32 in the file that was written last."""
        nodes = candidates(open_graph_of(base, *size).graph)
        layers = [node for node in nodes if is_layer(node)]
        self._nodes = [str(node.name) for node in nodes]
        self._layers = {str(node.name) for node in layers}
        counted = [node for node in layers if node.op_type == "Conv"] or layers
        self._macs = {str(node.name): macs(node) for node in counted}
        every = {str(node.name): macs(node) for node in layers}
        sizes = {str(node.name): weights_of(node).nbytes for node in layers}
        rounding = 1.0 if fit is None else 0.5
        weights = {name: rounding * harm for name, harm in ranges.weights.items()}
        self.hurt = {**ranges.activations, **{name + WEIGHTS: harm for name, harm in weights.items()}}
        self.cost = {name: every.get(name, 0) / max(1, sum(every.values())) for name in self._nodes}
        self.cost |= {name + WEIGHTS: self.cost[name] + sizes[name] / max(1, sum(sizes.values())) for name in weights}

    def first_guess(self) -> int:
        """How many entries have to go back for the predicted harm to fall to HARMLESS."""
        left = sum(harm**2 for harm in self.hurt.values() if math.isfinite(harm))
        for count, name in enumerate(ranking(self.hurt, self.cost)):
            if left <= HARMLESS**2:
                return count
            left -= self.hurt[name] ** 2 if math.isfinite(self.hurt[name]) else 0.0
        return len(self.hurt)

    def reduces(self, kept: Collection[str]) -> bool:
        """Whether any layer has int8 weights when `kept` stays in float32."""
        return any(name + WEIGHTS not in kept for name in self._layers)

    def write(self, kept: Collection[str]) -> dict[str, float]:
        """Write the mixture in which `kept` stays in float32; returns its size and how much of it computes in int8."""
        how = by_node(kept)
        nodes = [name for name in self._nodes if name not in how]
        weights_only = [name for name, what in how.items() if what == "activations" and name in self._layers]
        fitted = None
        if self._fit is not None:
            model = open_graph(self._base)
            quantise_activations(model, nodes, self._ranges)
            fitted = self._fit(model, self._layers & {*nodes, *weights_only})
            del model
        model = open_graph(self._base)
        insert_qdq(model, nodes, self._ranges, fitted, weights_only)
        _forget_types(model)
        save_graph(model, self._int8)
        self.written = frozenset(kept)
        size = size_of(self._int8)
        reduced = sum(self._macs.get(name, 0) for name in nodes) / max(1, sum(self._macs.values()))
        return {"bytes": size, "bytes_share": size / self._fp32_size, "mac_share": reduced}


def _forget_types(model: ir.Model) -> None:
    """Remove the types inside the graph. Every runtime infers them, and in a small network they take more room than the
    weights."""
    inside = [value for node in model.graph for value in node.outputs if not value.is_graph_output()]
    for value in (*inside, *model.graph.initializers.values()):
        value.type = value.shape = None
