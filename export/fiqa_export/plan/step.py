"""The plan step: builds the TensorRT plan of a finished ONNX artefact beside it, and tests it where it can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.card import Card, built_for, write_card
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.progress import Report

from fiqa_export.plan.build_plan import build_plan, link_plan
from fiqa_export.plan.target import PlanOrder
from fiqa_export.publishing import publish, workplace


@dataclass(frozen=True)
class Plan:
    """A built plan and its card."""

    path: Path
    card: Card


def add_plan(artefact: Path, card: Card, order: PlanOrder, report: Report) -> Plan:
    """Build ``<model>.<precision>.plan`` beside the ONNX file `artefact`, and the link ``<model>.plan`` to it.

    A plan that was built for the GPU of this machine re-scores the card's canaries before it gets its name; a
    TensorRT-RTX plan, which is built without a GPU, does not. Nothing is left of a plan that fails. Raises what
    :func:`fiqa_export.plan.build_plan.build_plan` raises, and VerdictError where the plan does not give its canaries.
    """
    out, name = artefact.parent, artefact.with_suffix(".plan").name
    with workplace(out) as folder:
        plan = folder / name
        plan_card = build_plan(artefact, card, plan, order, report)
        write_card(plan_card, plan)
        if built_for(plan_card).gpu:
            with Scorer(plan) as scorer:
                result = self_test(scorer)
            if not result.passed:
                raise VerdictError(f"{name} is not faithful on this GPU: {result}; use the ONNX file and report this")
        publish(folder, out, name)
    link_plan(out / name, card.model)
    return Plan(out / name, plan_card)
