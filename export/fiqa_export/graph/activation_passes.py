"""Graph passes that rewrite activations: same results up to rounding, in operators that every runtime handles well."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import pattern


def hard_sigmoid_as_clip(model: ir.Model) -> None:
    """Replace a HardSigmoid that alone reads a convolution by a Clip, its slope and offset taken into the weights.

    Networks in the manner of MobileNetV3 have such pairs in every block. OpenCV 5.0 refuses graphs with HardSigmoid in
    a residual block ("residual added after convolution must have the same shape"), and two steps become one. Where the
    convolution has several readers or weights that are not constant, nothing is done.
    """
    rule = pattern.RewriteRule(_activated, _clipped, _is_activated)
    rule.apply_to_model(model)


def _activated(op: Any, x: ir.Value, weight: ir.Value) -> Any:
    y = op.Conv(x, weight, _allow_other_inputs=True, _allow_other_attributes=True, _outputs=["y"])
    return op.HardSigmoid(y, _allow_other_attributes=True, _outputs=["gate"])


def _is_activated(_context: Any, y: ir.Value, **_: ir.Value) -> bool:
    conv = y.producer()
    return conv is not None and all(v is not None and v.const_value is not None for v in conv.inputs[1:])


def _clipped(op: Any, x: ir.Value, weight: ir.Value, y: ir.Value, gate: ir.Value) -> Any:
    conv, activation = y.producer(), gate.producer()
    assert conv is not None and activation is not None
    slope = activation.attributes.get_float("alpha", 0.2)
    offset = activation.attributes.get_float("beta", 0.5)
    kernel = _array(weight)
    bias = _array(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] is not None else np.zeros(len(kernel))
    parameters = {"weight": kernel * slope, "bias": bias * slope + offset}
    stem = str(weight.name).removesuffix(".weight")
    values = [_constant(op, array, weight, f"{stem}.{name}.gated") for name, array in parameters.items()]
    limits = (("low", np.array(0.0)), ("high", np.array(1.0)))
    bounds = [_constant(op, array, weight, f"{stem}.gate.{name}") for name, array in limits]
    return op.Clip(op.Conv(x, *values, **conv.attributes), *bounds)


def _array(value: ir.Value | None) -> np.ndarray:
    assert value is not None and value.const_value is not None
    return value.const_value.numpy().astype(np.float64)


def _constant(op: Any, array: np.ndarray, weight: ir.Value, name: str) -> ir.Value:
    """`array` in the type of `weight`, which is float16 in some files of others."""
    assert weight.const_value is not None
    initializer: ir.Value = op.initializer(ir.tensor(array.astype(weight.const_value.numpy().dtype)), name)
    return initializer
