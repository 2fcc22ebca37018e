"""torch peers: which run where, and CUDA graphs on fakes of torch.cuda that run what was captured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fiqa_benchmarks.contenders import peers
from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.contenders.torch_peers import TORCH_PEERS, WARM_UPS, CudaGraphs, torch_device
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.images.seeded import seeded_image

from tests.help.samples.cards import plan_build


def test_the_compiled_peer_gives_the_scores_of_the_eager_one(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def compile_nothing(network: Callable[..., Any]) -> Callable[..., Any]:
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", compile_nothing)
    crops = [seeded_image(index, 112, 112) for index in range(2)]
    scores = []
    for peer in ("torch", "torch-compile"):
        with open_contender(prepare(Contender(peer, str(seeded_engine), peer), tmp_path), 1) as scorer:
            scores.append(scorer.score(crops))
            assert scorer.backend.info["device"] == "cpu"
    eager, from_compiled = scores
    np.testing.assert_array_equal(from_compiled, eager)
    assert len(compiled) == 1


def test_ways_of_torch_are_told_apart_and_keep_to_the_threads_that_a_container_leaves(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda network: network)
    monkeypatch.setattr(peers, "thread_limit", lambda: 3)
    before = torch.get_num_threads()
    for peer in ("torch", "torch-compile"):
        with open_contender(prepare(Contender(peer, str(seeded_engine), peer), tmp_path)) as scorer:
            assert scorer.backend.info["way"] == peer
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_cuda_graphs_compare_with_plans(seeded_engine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"torch-cuda-graph compares with plans on a GPU; give --engine a .plan"):
        prepare(Contender("torch-cuda-graph", str(seeded_engine), "torch-cuda-graph"), tmp_path)


@pytest.mark.parametrize("peer", TORCH_PEERS)
def test_plans_are_compared_on_their_gpu(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch, peer: str) -> None:
    card = replace(read_card(seeded_engine), format="plan", plan=plan_build({}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert torch_device(peer, card) == "cuda"
    assert torch.backends.cudnn.allow_tf32 is False
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DependencyError, match=rf"has no CUDA here, {peer} cannot .* install a CUDA build of torch"):
        torch_device(peer, card)


class FakeGraph:
    """Runs on replay what was run under :func:`capture`, into the same outputs."""

    def __init__(self) -> None:
        self.replay: Callable[[], object] = lambda: None


@dataclass
class Cuda:
    """What became of the fakes of torch.cuda, and of :func:`doubled` on them."""

    calls: list[str] = field(default_factory=list)
    """What torch.cuda was asked for."""
    recording: FakeGraph | None = None
    runs: int = 0

    def doubled(self, image: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
        """The network."""
        outputs = {"score": 2 * image + bias}
        self.runs += 1
        if self.recording is not None:
            self.recording.replay = lambda: outputs["score"].copy_(2 * image + bias)
        return outputs


@pytest.fixture()
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Streams and graphs that say what is asked of them."""
    cuda = Cuda()
    calls = cuda.calls

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            calls.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        calls.append(f"on {stream.name}")
        yield

    @contextmanager
    def capture(graph: FakeGraph) -> Iterator[None]:
        calls.append("capture")
        cuda.recording = graph
        yield
        cuda.recording = None

    main = Stream("main")
    fakes = {"Stream": Stream, "stream": on, "current_stream": lambda: main, "graph": capture, "CUDAGraph": FakeGraph}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return cuda


def test_each_shape_is_captured_once_and_replayed_on_what_is_given(cuda: Cuda) -> None:
    graphs = CudaGraphs(cuda.doubled)
    for count in (2, 3, 2, 2, 3):
        image, bias = torch.rand(count, 1), torch.rand(count, 1)
        kept = image.clone()
        torch.testing.assert_close(graphs(image, bias=bias)["score"], 2 * image + bias)
        assert torch.equal(image, kept)
    once = ["side waits for main", "on side", "main waits for side", "capture"]
    assert cuda.calls == 2 * once
    assert cuda.runs == 2 * (WARM_UPS + 1), "cold, or run again instead of replayed"
