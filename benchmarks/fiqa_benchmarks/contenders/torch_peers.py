"""The torch peers: eager, compiled, or as CUDA graphs; on the GPU where the artefact is a plan, else on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import DependencyError, InputError

if TYPE_CHECKING:
    from torch import Tensor

COMPILED, GRAPHED = "torch-compile", "torch-cuda-graph"
TORCH_PEERS = ("torch", COMPILED, GRAPHED)
"""Names of the peers that run the PyTorch reference."""
WARM_UPS = 3
"""Number of runs before a capture, in which libraries choose their kernels and allocate memory."""

Network = Callable[..., "dict[str, Tensor]"]


def torch_device(peer: str, card: Card) -> str:
    """The device to compare on: `cuda` for plans, else `cpu`. Raises InputError or DependencyError where `peer` cannot
    run there."""
    if card.format != "plan":
        if peer == GRAPHED:
            raise InputError(f"{GRAPHED} compares with plans on a GPU; give --engine a .plan or leave the peer out")
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise DependencyError(
            f"torch {torch.__version__} has no CUDA here, {peer} cannot be compared with a plan; "
            "install a CUDA build of torch or leave the peer out"
        )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return "cuda"


def accelerated(peer: str, network: Network) -> Network:
    """`network` in the form in which `peer` runs it. It takes and gives tensors on one device; the first run of a shape
    is slow."""
    if peer == COMPILED:
        import torch

        return torch.compile(network)
    return CudaGraphs(network) if peer == GRAPHED else network


class CudaGraphs:
    """A network captured once for every shape it is given, then replayed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._captured: dict[tuple[Any, ...], tuple[dict[str, Tensor], Any, dict[str, Tensor]]] = {}

    def __call__(self, image: Tensor, **extra: Tensor) -> dict[str, Tensor]:
        """The outputs. The next call with the same shapes overwrites them."""
        given = {"": image, **extra}
        shapes = tuple(tensor.shape for tensor in given.values())
        if shapes not in self._captured:
            self._captured[shapes] = self._capture({name: tensor.clone() for name, tensor in given.items()})
        inputs, graph, outputs = self._captured[shapes]
        for name, tensor in given.items():
            inputs[name].copy_(tensor)
        graph.replay()
        return outputs

    def _capture(self, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], Any, dict[str, Tensor]]:
        import torch

        extra = {name: tensor for name, tensor in inputs.items() if name}
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._network(inputs[""], **extra)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._network(inputs[""], **extra)
        return inputs, graph, outputs
