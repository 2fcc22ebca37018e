"""Train the stand-in for eDifFIQA(T): the field's architecture, a handful of public-domain pictures, minutes on a CPU.

    python weights/standin/train.py            # writes ediffiqa-t.standin.pth beside this file

Same machine, same versions, same number of threads: same file. With FIQA_IMAGES_DIR set it ends with the numbers
on photos that it never saw.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from fiqa_export.models import Reference, build
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import rng
from fiqa_runtime.system.files import sha256_file
from heldout import Score, rankings, unseen_crops
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from samples import ORDER, Loaded, batch, load_pictures
from torch import Tensor, nn

FILE = Path(__file__).with_name("ediffiqa-t.standin.pth")
STEPS = 1200
BATCH = 16
LEARNING_RATE = 2e-3
EMBEDDING = 512
UNIT = EMBEDDING**0.5
"""The embedding has length 1; times this, its entries have about unit variance, as the initial weights expect."""
AVERAGED = 0.98
"""Decay of the running mean of parameters, which is what is kept."""

console = Console(stderr=True)


class Training:
    """eDifFIQA(T) on its way. The score learns the product of what each degradation leaves (1 - amount). A guide,
    thrown away at the end, learns the amounts themselves from the embedding: seven answers per crop teach faster
    than one.
    """

    def __init__(self, pictures: Loaded, steps: int, size: int) -> None:
        """`steps` batches of `size` crops of `pictures`, with PyTorch's global seed set to 0."""
        torch.manual_seed(0)
        self.pictures, self.size, self.done = pictures, size, 0
        self.model = build("ediffiqa-t").train()
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster; untyped
        with torch.no_grad():
            self.model.get_parameter("mlp.l1.weight").mul_(UNIT)
        self.guide = nn.Linear(EMBEDDING, len(ORDER))
        self.mean = copy.deepcopy(self.model)
        self.optimiser = torch.optim.AdamW(_groups(nn.ModuleList([self.model, self.guide])), lr=LEARNING_RATE)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15
        )

    def step(self) -> float:
        """One batch; returns its loss."""
        crops, amounts = batch(self.pictures, self.size, rng(f"standin:{self.done}"))
        told = torch.from_numpy(amounts)
        embedding = self.model.get_submodule("base_model")(reference_input(crops, self.model.spec.input))
        quality = self.model.get_submodule("mlp")(embedding)[:, 0]
        loss = _distance(quality, (1 - told).prod(dim=1)) + _distance(self.guide(embedding * UNIT), told)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        _follow(self.mean, self.model)
        self.done += 1
        return loss.item()

    def result(self) -> Reference:
        """The running mean of the network, in eval mode."""
        network = copy.deepcopy(self.mean)
        network.eval()
        return network


def _distance(predicted: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(predicted, wanted, beta=0.1)


def _follow(mean: nn.Module, model: nn.Module) -> None:
    """One step of the running mean of parameters and batch-norm statistics."""
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - AVERAGED)
            else:
                kept.copy_(new)


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def save(model: Reference, path: Path) -> None:
    """The official state-dict layout; kernels and matrices in half precision, which keeps the file under 4 MB."""
    half: dict[str, Tensor] = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in model.state_dict().items()
    }
    torch.save(half, path)


def scorer(model: Reference) -> Score:
    """uint8 BGR crops -> float32 scores (N,)."""

    def score(crops: Sequence[Image]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = model.outputs(reference_input(crops, model.spec.input))["score"][:, 0].numpy()
        return scores

    return score


def load(path: Path) -> Reference:
    """The network with the weights of a file that :func:`save` wrote, in float32 and eval mode."""
    model = build("ediffiqa-t")
    state = torch.load(path, weights_only=True)
    model.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    return model


def tell(model: Reference, images: Path) -> None:
    """Print how the network ranks the ladders of unseen photos."""
    crops = unseen_crops(images)
    console.print(f"{len(crops)} unseen faces; SRCC of score and strength: pooled, mean per photo, worst photo")
    for kind, ranking in rankings(scorer(model), list(crops.values())).items():
        console.print(f"{kind:14} {ranking.pooled:.3f} {ranking.mean:.3f} {ranking.worst:.3f}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    training = Training(load_pictures(), arguments.steps, BATCH)
    recent: list[float] = []
    with Progress(*columns, console=console) as progress:
        for _ in progress.track(range(arguments.steps), description="train"):
            recent = [*recent[-49:], training.step()]
            progress.update(progress.task_ids[0], description=f"loss {np.mean(recent):.4f}")
    save(training.result(), arguments.out)
    console.print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, SHA-256 {sha256_file(arguments.out)}")
    images = os.environ.get("FIQA_IMAGES_DIR")
    if images:
        tell(load(arguments.out), Path(images))


if __name__ == "__main__":
    main()
