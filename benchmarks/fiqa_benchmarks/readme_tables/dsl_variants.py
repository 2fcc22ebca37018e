"""Variants of DSL-FIQA, each without one of its savings: they compute what the published code computes and ours does
not."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.images.preprocess import network_input

from fiqa_benchmarks.contenders.crops import seeded_crops

if TYPE_CHECKING:
    from torch import Tensor

BEST = "as exported"
QUERIES = "repeated decoder queries computed once"
DEAD = "dead branches pruned"
LANDMARKS = "landmark output computed once"
NETWORK = "dsl-fiqa-visible"


@dataclass(frozen=True)
class Variant:
    """One exported variant."""

    name: str
    """BEST, or the saving that the variant lacks."""
    path: Path
    spec: ModelSpec
    macs: int
    """Multiply-accumulates of convolutions and matrix products for one crop."""
    feed: Inputs
    """One batch of as many crops as the card allows."""


def write_variants(folder: Path) -> Iterator[Variant]:
    """Export DSL-FIQA under seeded weights, best variant first, to `folder`: a gigabyte each.

    Raises DependencyError without torch.
    """
    if not find_spec("torch"):
        raise DependencyError("torch is not installed; pip install 'fiqa-edge[export]'")
    import torch
    from fiqa_export.checkpoints.checkpoint import load_reference
    from fiqa_export.graph.to_onnx import export_onnx

    variants: tuple[tuple[str, str, Callable[[Any], None]], ...] = (
        (BEST, NETWORK, lambda reference: None),
        (QUERIES, NETWORK, repeat_queries),
        (DEAD, NETWORK, keep_dead_branches),
        (LANDMARKS, "dsl-fiqa", lambda reference: None),
    )
    for number, (name, network, alter) in enumerate(variants):
        gc.collect()  # references and graphs refer to themselves: without this the one before would keep its gigabyte
        reference, _ = load_reference(network, "seeded")
        alter(reference)
        path = folder / f"{number}.onnx"
        export_onnx(reference, path)
        spec = reference.spec
        crops = network_input(seeded_crops(spec.input, spec.max_batch), spec.input)
        extra = {name: tensor.numpy() for name, tensor in reference.extra_inputs(spec.max_batch).items()}
        macs = count_macs(lambda: reference.outputs(torch.from_numpy(crops[:1]), **reference.extra_inputs(1)))  # noqa: B023
        yield Variant(name, path, spec, macs, {spec.input.name: crops, **extra})


def count_macs(work: Callable[[], object]) -> int:
    """Multiply-accumulates of the convolutions and matrix products that torch computes during `work`."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def repeat_queries(reference: Any) -> None:
    """Repeat each of the decoder's 96 queries six times before its attention, as published, instead of each answer
    after it.

    `reference`: a :class:`fiqa_export.models.dsl_fiqa.DSLFIQA`, changed in place.
    """
    from fiqa_export.models.blocks.attention import multi_head

    def forward(attention: Any, x: Tensor, description: Tensor) -> Tensor:
        k, v = attention.kv(x).chunk(2, dim=-1)
        queries = attention.q(description).repeat_interleave(6, dim=1)
        answers: Tensor = attention.proj(multi_head(queries, k, v, 8))
        return answers

    for block in reference.iqa.decoder:
        block.attn.forward = MethodType(forward, block.attn)


def keep_dead_branches(reference: Any) -> None:
    """Keep ViT blocks 10 and 11 with the classifier, and the encoder's second output, by making them outputs of the
    graph.

    `reference` as for :func:`repeat_queries`.
    """
    import torch
    from fiqa_export.models.blocks.vit import with_class_token

    vit, encoder, score = reference.iqa.vit, reference.de, reference.forward
    encode, dead = encoder.forward, []

    def all_blocks(x: Tensor) -> Tensor:
        tokens = with_class_token(vit.patch_embed(x), vit.cls_token, vit.pos_embed)
        taps = []
        for block in vit.blocks:
            tokens = block(tokens)
            taps.append(tokens[:, 1:])
        dead.append(vit.head(vit.norm(tokens)[:, 0]))
        return torch.cat(taps[6:10], dim=2)

    def both_outputs(x: Tensor) -> Tensor:
        description: Tensor = encode(x)
        dead.append(encoder.mlp(description))
        return description

    def forward(x: Tensor) -> tuple[Tensor, ...]:
        dead.clear()
        return score(x), *dead

    vit.forward, encoder.forward, reference.forward = all_blocks, both_outputs, forward
    (output,) = reference.spec.outputs
    outputs = (output, *(replace(output, name=name) for name in ("projections", "classes")))
    reference.spec = replace(reference.spec, outputs=outputs)
