"""The builder half of the fake `tensorrt`: it parses real ONNX files and builds the plans that the fake runtime runs.

`machine.asked` says what the last build was asked for; `machine.faults` what the next one fails with.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from tests.help.gpu.fake_gpu import FakeGpu

Shape = tuple[int, ...]
CACHE = b"timings of "
"""How timing caches begin; the name of the GPU follows."""

BuilderFlag = Enum(
    "BuilderFlag", ["TF32", "FP16", "INT8", "VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME", "GPU_FALLBACK"]
)
HardwareCompatibilityLevel = Enum("HardwareCompatibilityLevel", ["NONE", "AMPERE_PLUS"])
DeviceType = Enum("DeviceType", ["GPU", "DLA"])
ProfilingVerbosity = Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED"])
MemoryPoolType = Enum("MemoryPoolType", ["WORKSPACE"])
ErrorCode = Enum("ErrorCode", ["INVALID_NODE", "UNSUPPORTED_NODE", "MODEL_DESERIALIZE_FAILED"])


@dataclass
class Faults:
    """What goes wrong."""

    node: tuple[str, ErrorCode, str] | None = None
    """Operator that the parser refuses, how, and what it says."""
    build: list[str] = field(default_factory=list)
    """What the builder logs before it gives nothing."""
    steps: Callable[[int], None] = lambda step: None
    """Called at each step of a build."""


@dataclass
class FakeBuilderMachine:
    """What the fake builder saw."""

    faults: Faults = field(default_factory=Faults)
    dla_cores: int | None = 2
    """None: a version whose builder does not know the word."""
    flags: int = 0
    """Of the last network."""
    asked: Any = None
    """The last configuration."""
    caches: list[bytes] = field(default_factory=list)
    """What timing caches were made from."""
    combined: list[bytes] = field(default_factory=list)
    """What was added to timing caches."""


def add_builder(package: ModuleType, gpu: FakeGpu, strongly_typed: bool = True) -> FakeBuilderMachine:
    """Give the fake `package` a builder for `gpu`; TensorRT 11 may come without the flag for strong typing."""
    seen = FakeBuilderMachine()

    class Builder:
        def __init__(self, logger: Any) -> None:
            assert logger.made, "ILogger.__init__ was not called"
            if "builder" in package.refuse:
                logger.log(package.ILogger.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            if package.__name__ == "tensorrt":
                gpu.call("builder")
            self.logger = logger
            if seen.dla_cores is not None:
                self.num_DLA_cores = seen.dla_cores

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            seen.flags = flags
            return INetworkDefinition()

        def create_builder_config(self) -> IBuilderConfig:
            config = IBuilderConfig(self.logger)
            seen.asked = config
            return config

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> memoryview | None:
            assert network.parser is not None and network.parser() is not None, "the parser's weights are freed"
            if not _run(config.progress_monitor, seen.faults.steps) or seen.faults.build:
                for message in seen.faults.build:
                    self.logger.log(package.ILogger.ERROR, message)
                return None
            (profile,) = config.profiles
            for tensor in network.inputs:
                _check_limits(tensor, profile.shapes[tensor.name])
            if config.cache is not None:
                config.cache.content += b"."
            limits = {
                name: {key: list(shape) for key, shape in zip(("min", "opt", "max"), shapes, strict=True)}
                for name, shapes in profile.shapes.items()
            }
            document = {"inputs": limits, "outputs": network.outputs, "activations": 1000}
            return memoryview(json.dumps(document).encode())

    class INetworkDefinition:
        def __init__(self) -> None:
            self.parser: weakref.ref[Any] | None = None
            self.inputs: list[SimpleNamespace] = []
            self.outputs: list[str] = []
            self.num_layers = 0

        def __iter__(self) -> Iterator[SimpleNamespace]:
            return iter([SimpleNamespace(precision_is_set=False)] * self.num_layers)

        @property
        def num_inputs(self) -> int:
            return len(self.inputs)

        def get_input(self, index: int) -> SimpleNamespace:
            return self.inputs[index]

    class OnnxParser:
        def __init__(self, network: INetworkDefinition, logger: Any) -> None:
            assert logger.made
            self.network, self.errors = network, list[SimpleNamespace]()
            network.parser = weakref.ref(self)

        @property
        def num_errors(self) -> int:
            return len(self.errors)

        def get_error(self, index: int) -> SimpleNamespace:
            return self.errors[index]

        def parse_from_file(self, path: str) -> bool:
            try:
                graph = onnx.load(path).graph
            except DecodeError:
                self.errors.append(_error(ErrorCode.MODEL_DESERIALIZE_FAILED, "Failed to parse the ONNX model."))
                return False
            for index, node in enumerate(graph.node):
                if seen.faults.node and node.op_type == seen.faults.node[0]:
                    self.errors.append(_error(*seen.faults.node[1:], index, node.name, node.op_type))
                    return False
            self.network.inputs = [
                SimpleNamespace(name=each.name, shape=_shape(each), dtype="float32", is_shape_tensor=False)
                for each in graph.input
            ]
            self.network.outputs = [each.name for each in graph.output]
            self.network.num_layers = len(graph.node)
            return True

    class IOptimizationProfile:
        def __init__(self) -> None:
            self.shapes: dict[str, tuple[Shape, Shape, Shape]] = {}

        def set_shape(self, name: str, low: Shape, usual: Shape, high: Shape) -> None:
            self.shapes[name] = (low, usual, high)

    class IBuilderConfig:
        def __init__(self, logger: Any) -> None:
            self.logger = logger
            self.flags = {BuilderFlag.TF32}
            self.profiles: list[IOptimizationProfile] = []
            self.pools: dict[MemoryPoolType, int] = {}
            self.builder_optimization_level = 3
            self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
            self.default_device_type, self.DLA_core = DeviceType.GPU, -1
            self.profiling_verbosity: ProfilingVerbosity | None = None
            self.num_optimization_profiles = 0
            self.progress_monitor: Any = None
            self.cache: ITimingCache | None = None

        def set_flag(self, flag: BuilderFlag) -> None:
            self.flags.add(flag)

        def get_flag(self, flag: BuilderFlag) -> bool:
            return flag in self.flags

        def clear_flag(self, flag: BuilderFlag) -> None:
            self.flags.discard(flag)

        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            self.profiles.append(profile)
            return len(self.profiles) - 1

        def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
            self.pools[pool] = size

        def create_timing_cache(self, content: bytes) -> ITimingCache | None:
            seen.caches.append(content)
            if content and not content.startswith(CACHE):
                self.logger.log(package.ILogger.ERROR, "Error Code 1: Serialization (magicTag)")
                return None
            return ITimingCache(content or CACHE + gpu.name.encode() + b":")

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            assert not ignore_mismatch
            if not cache.content.startswith(CACHE + gpu.name.encode() + b":"):
                return False
            self.cache = cache
            return True

        def get_timing_cache(self) -> ITimingCache | None:
            return self.cache

    class ITimingCache:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def combine(self, other: ITimingCache, ignore_mismatch: bool) -> bool:
            seen.combined.append(other.content)
            return True

        def serialize(self) -> memoryview:
            return memoryview(self.content)

    class IProgressMonitor:
        def __init__(self) -> None:
            self.made = True

    flags = {"STRONGLY_TYPED": 1} if strongly_typed else {}
    vars(package).update(
        {each.__name__: each for each in (Builder, INetworkDefinition, OnnxParser, IBuilderConfig, IProgressMonitor)},
        IOptimizationProfile=IOptimizationProfile,
        ITimingCache=ITimingCache,
        BuilderFlag=BuilderFlag,
        HardwareCompatibilityLevel=HardwareCompatibilityLevel,
        DeviceType=DeviceType,
        ProfilingVerbosity=ProfilingVerbosity,
        MemoryPoolType=MemoryPoolType,
        NetworkDefinitionCreationFlag=SimpleNamespace(__members__=flags),
    )
    return seen


def _run(monitor: Any, at_step: Callable[[int], None]) -> bool:
    """Phases as a real build nests them, two in one step too; whether the monitor let it end."""
    assert monitor.made, "IProgressMonitor.__init__ was not called"
    monitor.phase_start("Building engine", None, 4)
    for step in range(4):
        for part in (f"Optimizing {step}", f"Timing {step}"):
            monitor.phase_start(part, "Building engine", 5)
            for inner in range(5):
                with suppress(KeyboardInterrupt):  # as TensorRT does around the logger
                    at_step(5 * step + inner)
                if not monitor.step_complete(part, inner):
                    return False
            monitor.phase_finish(part)
        if not monitor.step_complete("Building engine", step):
            return False
    monitor.phase_finish("Building engine")
    return True


def _check_limits(tensor: SimpleNamespace, limits: tuple[Shape, Shape, Shape]) -> None:
    for size, low, usual, high in zip(tensor.shape, *limits, strict=True):
        assert low <= usual <= high
        assert size in (-1, low) and (size == -1 or low == high), f"{tensor.name} is {tensor.shape}, not {limits}"


def _error(code: ErrorCode, text: str, node: int = -1, name: str = "", operator: str = "") -> SimpleNamespace:
    values = {"code": code, "desc": text, "node": node, "node_name": name, "node_operator": operator}
    return SimpleNamespace(**{key: lambda value=value: value for key, value in values.items()})


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(each.dim_value if each.HasField("dim_value") else -1 for each in value.type.tensor_type.shape.dim)
