"""One deserialised plan and its execution context: all that is asked of TensorRT's Python package."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fiqa_runtime.backends.device_memory import Shape
from fiqa_runtime.backends.plan_facts import EXTRAS, PlanFacts
from fiqa_runtime.errors import ArtefactError, DependencyError, UnsupportedError


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

    `inputs` are the shapes taken, by name in the plan's order, `outputs` the names given. Code inside a plan is never
    run: `engine_host_code_allowed` stays as TensorRT has it, off.
    """

    def __init__(self, trt: Any, plan: bytes, facts: PlanFacts) -> None:
        """Deserialise; raises ArtefactError or UnsupportedError. `activate` comes next."""
        self._trt = trt
        self._facts = facts
        self._log = _error_log(trt)
        self._context: Any = None
        self._runtime = self._open_runtime()
        if facts.dla is not None:
            self._runtime.DLA_core = facts.dla
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ArtefactError(
                f"{facts.flavour} {trt.__version__} cannot load {facts.name} ({self._reason()}); "
                f"build it again here: {facts.rebuild}"
            )
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        for name in names:
            if self._engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
                raise UnsupportedError(f"{facts.name} has '{name}' in another type than float32; {facts.rebuild}")
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = {name: self._range(name) for name in inputs}
        self.outputs = [name for name in names if name not in inputs]

    def activate(self) -> bool:
        """Create the execution context, with the activations of the largest batch; false where memory ran out."""
        self._context = self._engine.create_execution_context()
        return self._context is not None

    @property
    def activation_bytes(self) -> int:
        """GPU memory of the execution context."""
        return int(self._engine.device_memory_size_v2)

    def shape_inputs(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Set the input shapes of the next `execute`; returns those of the outputs."""
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise self._failed(f"the shape {shape} of '{name}'")
        outputs = {name: tuple(self._context.get_tensor_shape(name)) for name in self.outputs}
        for name, shape in outputs.items():
            if min(shape, default=0) < 0:
                raise UnsupportedError(f"{self._facts.name} has '{name}' of no fixed shape; {self._facts.rebuild}")
        return outputs

    def place(self, addresses: Mapping[str, int]) -> None:
        """Set where the tensors of the next `execute` lie on the GPU."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise self._failed(f"the address of '{name}'")

    def execute(self, stream: int) -> None:
        """Give the network to `stream`; returns at once. Always the same stream for one engine."""
        if not self._context.execute_async_v3(stream):
            raise self._failed("the batch")

    def close(self) -> None:
        """Drop everything, children before their parents."""
        del self._context, self._engine, self._runtime

    def _open_runtime(self) -> Any:
        try:
            runtime = self._trt.Runtime(self._log)
        except TypeError as error:  # the binding's way to say that the factory gave nothing
            raise UnsupportedError(
                f"{self._facts.flavour} {self._trt.__version__} does not start on this GPU ({self._reason()}); "
                "update the NVIDIA driver"
            ) from error
        if not self._facts.version_compatible:
            return runtime
        library = f"libnvinfer_lean.so.{self._facts.version.split('.')[0]}"
        lean = runtime.load_runtime(library)
        if lean is None:
            raise UnsupportedError(
                f"{self._facts.name} is version-compatible and needs {library}, which cannot be loaded; "
                f"install it or build the plan again: {self._facts.rebuild}"
            )
        return lean

    def _range(self, name: str) -> Range:
        shape = tuple(self._engine.get_tensor_shape(name))
        if min(shape) >= 0:
            return Range(shape, shape)
        smallest, _, largest = self._engine.get_tensor_profile_shape(name, 0)
        return Range(tuple(smallest), tuple(largest))

    def _failed(self, what: str) -> ArtefactError:
        return ArtefactError(
            f"TensorRT refused {what} for {self._facts.name} ({self._reason()}); "
            f"build it again here: {self._facts.rebuild}"
        )

    def _reason(self) -> str:
        return self._log.errors[0] if self._log.errors else "it does not say why"


def _error_log(trt: Any) -> Any:
    """A logger that keeps the last errors, one line each, and prints nothing."""

    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message.strip().splitlines()[0] if message.strip() else "an error without text")

    return ErrorLog()
