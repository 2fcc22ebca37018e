"""ONNX operators that compute each value from the values in the same place: activations, arithmetic, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.onnx_on_torch.arguments import Operator


def _of_inputs_alone(function: Callable[..., Tensor]) -> Operator:
    return lambda node, *inputs: function(*inputs)


def _of_any_number(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda node, *inputs: reduce(function, inputs)


def _with_alpha(function: Callable[[Tensor, float], Tensor], default: float) -> Operator:
    return lambda node, x: function(x, node.attributes.get_float("alpha", default))


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low, high)


def _gelu(node: ir.Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.attributes.get_string("approximate", "none"))


def _hard_sigmoid(node: ir.Node, x: Tensor) -> Tensor:
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    return (alpha * x + beta).clamp(0, 1)


def _hard_swish(x: Tensor) -> Tensor:
    return x * (x / 6 + 0.5).clamp(0, 1)


def _celu(x: Tensor, alpha: float) -> Tensor:
    return x.clamp(min=0) + (alpha * torch.expm1(x.clamp(max=0) / alpha))


def _selu(node: ir.Node, x: Tensor) -> Tensor:
    alpha = node.attributes.get_float("alpha", 1.6732632423543772)
    gamma = node.attributes.get_float("gamma", 1.0507009873554805)
    return gamma * (x.clamp(min=0) + alpha * torch.expm1(x.clamp(max=0)))


def _mean(node: ir.Node, *inputs: Tensor) -> Tensor:
    return reduce(torch.add, inputs) / len(inputs)


def _mod(node: ir.Node, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if node.attributes.get_int("fmod", 0) else torch.remainder(a, b)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "Atan": torch.atan,
    "Ceil": torch.ceil,
    "Clip": _clip,
    "Cos": torch.cos,
    "Div": _div,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSwish": _hard_swish,
    "Identity": lambda x: x,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Mish": F.mish,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "Pow": torch.pow,
    "PRelu": _prelu,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "Where": torch.where,
    "Xor": torch.logical_xor,
}

ELEMENTWISE_OPERATORS: dict[str, Operator] = {
    **{name: _of_inputs_alone(function) for name, function in _FUNCTIONS.items()},
    "Celu": _with_alpha(_celu, 1.0),
    "Elu": _with_alpha(lambda x, alpha: F.elu(x, alpha), 1.0),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _with_alpha(F.leaky_relu, 0.01),
    "Max": _of_any_number(torch.maximum),
    "Mean": _mean,
    "Min": _of_any_number(torch.minimum),
    "Mod": _mod,
    "Selu": _selu,
    "Sum": _of_any_number(torch.add),
    "ThresholdedRelu": _with_alpha(lambda x, alpha: torch.where(x > alpha, x, torch.zeros_like(x)), 1.0),
}
"""These operators by ONNX name."""
