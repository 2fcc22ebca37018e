"""One deserialised plan and its execution context: all that is asked of TensorRT's Python package."""

from __future__ import annotations

import importlib
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fiqa_runtime.backends.cuda.driver import Shape
from fiqa_runtime.backends.tensorrt.plan_facts import EXTRAS, PlanFacts
from fiqa_runtime.errors import ArtefactError, DependencyError, UnsupportedError

OUT_OF_MEMORY = re.compile(r"out ?of ?memory", re.IGNORECASE)
"""Matches TensorRT's messages about a failed allocation."""


@dataclass(frozen=True)
class Range:
    """Shapes that a plan takes for one input, batch first."""

    smallest: Shape
    largest: Shape


def import_tensorrt(flavour: str) -> Any:
    """The package `tensorrt` or `tensorrt_rtx`; raises DependencyError."""
    try:
        return importlib.import_module(flavour)
    except ImportError as error:
        raise DependencyError(
            f"{flavour} cannot be imported ({error}); pip install 'fiqa-edge[{EXTRAS[flavour]}]', "
            "on Jetson take JetPack's (apt install python3-libnvinfer)"
        ) from error


class Engine:
    """Runtime, engine and execution context; the CUDA context has to be current in every call.

    Code inside a plan is never run: `engine_host_code_allowed` stays as TensorRT has it, off.
    """

    inputs: dict[str, Range]
    """Shapes that each input takes, by its name, in the plan's order."""
    raw: list[str]
    """Names of the inputs of uint8; all others are float32."""
    outputs: list[str]
    """Names of the outputs, in the plan's order."""

    def __init__(self, trt: Any, plan: bytes, facts: PlanFacts) -> None:
        """Deserialise; raises ArtefactError or UnsupportedError, MemoryError where the weights find no room.

        `read_tensors` and `activate` come next.
        """
        self._trt = trt
        self._facts = facts
        self._log = error_log(trt)
        self._context: Any = None
        self._dispatcher, self._runtime = self._open_runtime()
        if facts.build.flavour == "tensorrt_rtx":
            self._refuse_invalid(plan)
        if facts.build.flags.dla is not None:
            self._runtime.DLA_core = facts.build.flags.dla
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._failed("load")

    def read_tensors(self) -> None:
        """Fill `inputs`, `raw` and `outputs`; raises UnsupportedError where a tensor is neither float32 nor a raw
        input."""
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT]
        types = {name: self._engine.get_tensor_dtype(name) for name in names}
        self.raw = [name for name in inputs if types[name] == self._trt.DataType.UINT8]
        for name in names:
            if name not in self.raw and types[name] != self._trt.DataType.FLOAT:
                raise UnsupportedError(
                    f"{self._facts.name} has '{name}' in another type than float32; "
                    f"build it again: {self._facts.rebuild}"
                )
        self.inputs = {name: self._range(name) for name in inputs}
        self.outputs = [name for name in names if name not in inputs]

    def activate(self) -> None:
        """Create the execution context with the activations of the largest batch; raises MemoryError without room."""
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._failed("prepare")

    @property
    def activation_bytes(self) -> int:
        """GPU memory of the execution context."""
        return int(self._engine.device_memory_size_v2)

    def shape_inputs(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Set the input shapes of the next `execute`; returns those of the outputs."""
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise self._failed(f"take '{name}' of shape {shape} in")
        outputs = {name: tuple(self._context.get_tensor_shape(name)) for name in self.outputs}
        for name, shape in outputs.items():
            if min(shape, default=0) < 0:
                raise UnsupportedError(
                    f"{self._facts.name} has '{name}' of no fixed shape; build it again: {self._facts.rebuild}"
                )
        return outputs

    def place(self, addresses: Mapping[str, int]) -> None:
        """Set where the tensors of the next `execute` lie on the GPU."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise self._failed(f"place '{name}' of")

    def execute(self, stream: int) -> None:
        """Start the network on `stream` and return at once. One engine is always given the same stream."""
        if not self._context.execute_async_v3(stream):
            raise self._failed("run")

    def close(self) -> None:
        """Drop everything, children before their parents."""
        del self._context, self._engine, self._runtime, self._dispatcher

    def _open_runtime(self) -> tuple[Any, Any]:
        """The installed runtime, and the one that runs this plan: the same, or the lean one of an older version."""
        try:
            runtime = self._trt.Runtime(self._log)
        except TypeError as error:  # the binding's way to say that the factory gave nothing
            raise UnsupportedError(
                f"{self._facts.build.flavour} {self._trt.__version__} does not start on this GPU ({self._reason()}); "
                "update the NVIDIA driver"
            ) from error
        if not self._facts.needs_lean_runtime:
            return runtime, runtime
        library = f"libnvinfer_lean.so.{self._facts.build.version.split('.')[0]}"
        lean = runtime.load_runtime(library)
        if lean is None:
            raise UnsupportedError(
                f"{self._facts.name} is version-compatible and needs {library}, which cannot be loaded; "
                f"install it or build the plan again: {self._facts.rebuild}"
            )
        return runtime, lean

    def _refuse_invalid(self, plan: bytes) -> None:
        """Raise UnsupportedError where TensorRT-RTX says that the plan does not fit this machine; TensorRT cannot say
        it."""
        validity, causes = self._runtime.get_engine_validity(plan)
        if validity == self._trt.EngineValidity.INVALID:
            known = self._trt.EngineInvalidityDiagnostics.__members__.items()
            names = [name.lower().replace("_", " ") for name, bit in known if int(bit) & causes]
            raise UnsupportedError(
                f"{self._facts.name} does not fit this machine ({', '.join(names) or self._reason()}); "
                f"build it again here: {self._facts.rebuild}"
            )

    def _range(self, name: str) -> Range:
        shape = tuple(self._engine.get_tensor_shape(name))
        if min(shape, default=0) >= 0:
            return Range(shape, shape)
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        return Range(tuple(smallest), tuple(largest))

    def _failed(self, what: str) -> ArtefactError | MemoryError:
        reason = self._reason()
        if OUT_OF_MEMORY.search(reason):
            return MemoryError(reason)
        return ArtefactError(
            f"{self._facts.build.flavour} {self._trt.__version__} cannot {what} {self._facts.name} ({reason}); "
            f"build it again here: {self._facts.rebuild}"
        )

    def _reason(self) -> str:
        errors = self._log.errors
        reason = (errors[0].splitlines() or ["an error without text"])[0] if errors else "it does not say why"
        errors.clear()
        return reason


def error_log(trt: Any) -> Any:
    """A logger for `trt` that prints nothing and keeps the last errors in `errors`, a deque of stripped messages."""

    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=32)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message.strip())

    return ErrorLog()
