"""Builds the TensorRT plan of an ONNX file and makes its card; the build itself is in `builder.py`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from fiqa_runtime.artefact.card import Card, with_files
from fiqa_runtime.artefact.facts import PlanBuild, PlanFlags, Profile, Verdict
from fiqa_runtime.backends.cuda.driver import Driver, Shape, active
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.system.files import sha256_of, temporary_name, write_bytes
from fiqa_runtime.system.progress import Report, silent

from fiqa_export.plan.builder import Built, Limits, build
from fiqa_export.plan.target import WORKSPACE_SHARE, PlanOptions, PlanOrder, Target

SIDES = (32, 640, 2048)
"""Smallest, usual and largest side of a photo, for detectors that take photos of any size."""
DEFAULT_BATCH = (1, 8, 32)
OVERLAPPED = 4
"""How many of the largest batches the runtime is given at once, so that it can copy one while it computes another."""


def build_plan(onnx: Path, card: Card, plan: Path, order: PlanOrder, report: Report = silent) -> Card:
    """Build the ONNX file `onnx` with its `card` into `plan`; returns the plan's card, which is not written.

    `plan` appears when it is whole. Raises what :func:`fiqa_export.plan.builder.build` raises, InputError where `plan`
    cannot be written.
    """
    target, options = order.target, order.options
    if options.workspace is None and target.driver is not None and target.driver.gpu.integrated:
        options = replace(options, workspace=shared_workspace(target.driver))
    what = f"{card.model}: build {card.precision} plan (%)"
    report(what, 0, 100)
    limits = partial(_limits, card, batch_range(card, options))
    built = build(target, onnx, limits, options, lambda share: report(what, int(100 * share), 100))
    report(what, 100, 100)
    write_bytes(plan, built.plan)
    return with_files(_plan_card(onnx, card, target, built, options), plan.parent, [plan.name])


def link_plan(plan: Path, model: str) -> Path:
    """Make ``<model>.plan`` beside `plan` a relative link to it; raises InputError where links cannot be made."""
    link = plan.with_name(f"{model}.plan")
    temporary = temporary_name(link)
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(plan.name)
        temporary.replace(link)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot link {link} ({error.strerror}); use {plan.name} by its own name") from error
    return link


def batch_range(card: Card, options: PlanOptions) -> tuple[int, int, int]:
    """Smallest, usual and largest batch: what `options` ask for, else what suits the network."""
    if options.batch is not None:
        return options.batch
    one_at_a_time = card.input.height is None or options.dla is not None
    largest = 1 if one_at_a_time else min(card.max_batch, DEFAULT_BATCH[2])
    return DEFAULT_BATCH[0], min(DEFAULT_BATCH[1], largest), largest


def shared_workspace(driver: Driver) -> int:
    """Bytes that a layer may use by default on a GPU that shares the processor's memory."""
    with active(driver):
        return int(WORKSPACE_SHARE * driver.free_memory())


def _limits(card: Card, batch: tuple[int, int, int], name: str, shape: Shape) -> Limits:
    """The profile of the input `name`: its smallest, usual and largest shape. `shape` is the one in the file, -1 where
    it is free."""
    if shape[0] >= 0 and set(batch) != {shape[0]}:
        raise InputError(
            f"the ONNX file takes batches of {shape[0]} alone; give --batch {','.join(3 * [str(shape[0])])}, "
            "or export it with fiqa-export"
        )
    free = [axis for axis, size in enumerate(shape) if size < 0 and axis > 0]
    if free and (card.input.height is not None or free != ([1, 2] if card.input.raw else [2, 3])):
        raise UnsupportedError(f"input '{name}' has no size in {shape}; export it again with fiqa-export")
    smallest, usual, largest = (
        (count, *(side if size < 0 else size for size in shape[1:])) for count, side in zip(batch, SIDES, strict=True)
    )
    return smallest, usual, largest


def _plan_card(onnx: Path, card: Card, target: Target, built: Built, options: PlanOptions) -> Card:
    gpu = target.driver.gpu if target.driver else None
    facts = PlanBuild(
        flavour=target.flavour,
        version=target.trt.__version__,
        gpu=gpu.name if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None,
        driver=gpu.driver if gpu else None,
        profile={name: Profile(*limits) for name, limits in built.profile.items()},
        flags=PlanFlags(
            tf32=False,
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            dla=options.dla,
            workspace=options.workspace,
            optimisation=options.optimisation,
        ),
        layers=built.layers,
        onnx_sha256=sha256_of(onnx),
    )
    return replace(
        card,
        format="plan",
        max_batch=OVERLAPPED * built.profile[card.input.name][2][0],
        parity=Verdict(budget=card.parity.budget, range=card.parity.range),
        versions={**card.versions, target.flavour: target.trt.__version__},
        model_sha256="",
        plan=facts,
    )
