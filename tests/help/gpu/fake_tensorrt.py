"""A fake `tensorrt` over one FakeGpu: a plan is a JSON document that says shapes and memory, its networks are sums.

Outputs: `score` (N, 1) the mean of every input, added up; `map` (N, 1, H, W) the mean over the channels of the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import get_ident
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.spec import InputSpec, OutputSpec
from numpy.typing import NDArray

from tests.help.gpu.fake_cuda import module
from tests.help.gpu.fake_gpu import FakeGpu, GpuFaultError, OutOfMemoryError
from tests.help.samples.cards import plan_build

Arrays = dict[str, NDArray[np.float32]]


PROFILE = {"input": {"min": [1, 3, 8, 8], "opt": [2, 3, 8, 8], "max": [4, 3, 8, 8]}}
OUTPUTS = ("score", "map")


def write_plan(
    folder: Path,
    profile: dict[str, dict[str, list[int]]],
    outputs: tuple[str, ...],
    facts: dict[str, Any],
    flags: dict[str, Any],
    content: bytes | None = None,
    **plan: Any,
) -> Path:
    """A plan with its card: a fake one, or of `content`.

    `facts` and `flags` change what the card says, `plan` what the fake plan does.
    """
    path = folder / "ifqa.fp16.plan"
    document = {"inputs": profile, "outputs": outputs, "activations": 1000, **plan}
    path.write_bytes(content or json.dumps(document).encode())
    card = Card(
        model="ifqa",
        precision="fp16",
        format="plan",
        input=InputSpec(8, 8, "RGB", (0.0,) * 3, (255.0,) * 3, "opencv-bilinear", "arcface-112"),
        outputs=tuple(OutputSpec(name, "map" if name == "map" else "score") for name in outputs),
        licence="none",
        source="none",
        max_batch=32,
        plan=plan_build(profile, flags, **facts),
    )
    write_card(with_files(card, folder, [path.name]), path)
    return path


def reference(inputs: Arrays, outputs: tuple[str, ...]) -> Arrays:
    """What a fake network gives for `inputs`."""
    first = next(iter(inputs.values()))
    score = sum(array.reshape(len(array), -1).mean(1, keepdims=True) for array in inputs.values())
    return {
        name: np.float32(score) if name == "score" else first.mean(1, keepdims=True, dtype=np.float32)
        for name in outputs
    }


def fake_tensorrt(gpu: FakeGpu, name: str = "tensorrt", version: str = "10.3.0") -> ModuleType:
    """The package; `gpu.log` gains its calls, and in `refuse` tests name calls that have to fail."""
    refuse: set[str] = set()

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)

        def __init__(self) -> None:
            self.made = True

        def log(self, severity: int, message: str) -> None:
            raise NotImplementedError

    class Runtime:
        def __init__(self, logger: Any) -> None:
            assert logger.made, "ILogger.__init__ was not called"
            if "runtime" in refuse:
                logger.log(ILogger.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger
            self.engine_host_code_allowed = False
            self.DLA_core = -1

        def load_runtime(self, path: str) -> Runtime | None:
            gpu.call("load_runtime", path)
            return None if "load_runtime" in refuse else Runtime(self.logger)

        def get_engine_validity(self, buffer: bytes) -> tuple[int, int]:
            return (2, 1 | 2) if "validity" in refuse else (0, 0)

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            gpu.call("deserialize", len(serialized_engine), self.engine_host_code_allowed, self.DLA_core)
            self.logger.log(ILogger.INFO, "Loaded engine")
            try:
                if "deserialize" in refuse:
                    self.logger.log(ILogger.ERROR, "Error Code 1: Serialization\nmore of it")
                    return None
                return ICudaEngine(self.logger, json.loads(serialized_engine))
            except OutOfMemoryError:
                self.logger.log(ILogger.ERROR, "Error Code 2: OutOfMemory (Requested size was many bytes.)")
                return None

    class ICudaEngine:
        def __init__(self, logger: Any, plan: dict[str, Any]) -> None:
            self.logger, self.plan = logger, plan
            gpu.reserve(id(self), plan.get("weights", 100))
            self.num_io_tensors = len(plan["inputs"]) + len(plan["outputs"])
            self.device_memory_size_v2 = plan["activations"]

        def __del__(self) -> None:
            if gpu.reserved.pop(id(self), None) is not None:
                gpu.log.append(("engine_free",))

        def get_tensor_name(self, index: int) -> str:
            return str([*self.plan["inputs"], *self.plan["outputs"]][index])

        def get_tensor_mode(self, name: str) -> str:
            return "input" if name in self.plan["inputs"] else "output"

        def get_tensor_dtype(self, name: str) -> str:
            return str(self.plan.get("types", {}).get(name, "float32"))

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            limits = self.plan["inputs"][name]
            pairs = zip(limits["min"], limits["max"], strict=True)
            return tuple(low if low == high else -1 for low, high in pairs)

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            assert profile_index == 0
            return [tuple(self.plan["inputs"][name][key]) for key in ("min", "opt", "max")]

        def create_execution_context(self) -> IExecutionContext | None:
            gpu.call("create_context", self.device_memory_size_v2)
            try:
                return IExecutionContext(self)
            except OutOfMemoryError:
                self.logger.log(ILogger.INTERNAL_ERROR, "Error Code 2: OutOfMemory (no further information)")
                return None

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self.engine = engine
            self.shapes: dict[str, tuple[int, ...]] = {}
            self.addresses: dict[str, int] = {}
            gpu.reserve(id(self), engine.device_memory_size_v2)

        def __del__(self) -> None:
            if gpu.reserved.pop(id(self), None) is not None:
                gpu.log.append(("context_free",))

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            gpu.call("shape", name, shape)
            if gpu.users.setdefault(id(self), get_ident()) != get_ident():
                raise GpuFaultError("two threads use one execution context")
            limits = self.engine.plan["inputs"][name]
            fits = all(a <= b <= c for a, b, c in zip(limits["min"], shape, limits["max"], strict=True))
            self.shapes[name] = shape
            return fits and "shape" not in refuse

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            batch, _, height, width = next(iter(self.shapes.values()))
            if name in self.engine.plan.get("unbounded", ()):
                return (batch, -1)
            return (batch, 1) if name == "score" else (batch, 1, height, width)

        def set_tensor_address(self, name: str, memory: int) -> bool:
            gpu.call("address", name)
            if memory % 256:
                raise GpuFaultError("TensorRT wants addresses that are multiples of 256")
            self.addresses[name] = memory
            return "address" not in refuse

        def execute_async_v3(self, stream_handle: int) -> bool:
            gpu.call("execute", stream_handle, dict(self.shapes))
            gpu.while_executing()
            if "execute" in refuse:
                self.engine.logger.log(ILogger.ERROR, "Error Code 1: Cuda Runtime (an illegal memory access)")
                return False
            shapes, addresses = dict(self.shapes), dict(self.addresses)
            if set(addresses) != {*self.engine.plan["inputs"], *self.engine.plan["outputs"]}:
                raise GpuFaultError("a tensor has no address")
            gpu.submit(gpu.streams[stream_handle], lambda: self._compute(shapes, addresses))
            return True

        def _compute(self, shapes: dict[str, tuple[int, ...]], addresses: dict[str, int]) -> None:
            def tensor(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
                dtype = np.dtype(self.engine.get_tensor_dtype(name))
                size = int(np.prod(shape)) * dtype.itemsize
                memory: NDArray[np.uint8] = gpu.memory_at(addresses[name], size)
                return memory.view(dtype).reshape(shape)

            inputs = {name: tensor(name, shape) for name, shape in shapes.items()}
            for name, result in reference(inputs, tuple(self.engine.plan["outputs"])).items():
                tensor(name, result.shape)[...] = result

    return module(
        name,
        __version__=version,
        refuse=refuse,
        ILogger=ILogger,
        Runtime=Runtime,
        ICudaEngine=ICudaEngine,
        IExecutionContext=IExecutionContext,
        DataType=SimpleNamespace(FLOAT="float32", UINT8="uint8"),
        TensorIOMode=SimpleNamespace(INPUT="input", OUTPUT="output"),
        EngineValidity=SimpleNamespace(INVALID=2),
        EngineInvalidityDiagnostics=SimpleNamespace(__members__={"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2}),
    )
