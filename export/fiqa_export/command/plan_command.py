"""``fiqa-export FILE.onnx``: builds the plan of a finished artefact, on a device with neither torch nor checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fiqa_runtime.artefact.card import built_for, card_path, read_card
from fiqa_runtime.artefact.location import artefact_inputs, find_artefact
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.console import progress_bar, tell
from fiqa_runtime.terminal.outputs import check_output_folder, check_outputs, write_json

from fiqa_export.plan.step import add_plan
from fiqa_export.plan.target import PlanOptions, order_plan
from fiqa_export.serving.delivery import ServingFolders


def plan_of(name: str, options: PlanOptions, servers: ServingFolders, json: str | None) -> None:
    """Build the plan of the ONNX artefact `name` beside it.

    Raises what :func:`fiqa_export.plan.target.order_plan` and :func:`fiqa_export.plan.step.add_plan` raise, InputError
    where its folder cannot be written.
    """
    path = find_artefact(name)
    card = read_card(path)
    if options.target == "none":
        raise InputError(f"{name} is exported already, and --target none builds no plan; name another target")
    servers.check(card.model, card.input, card.outputs)
    order = order_plan(options, card.precision)
    check_output_folder(path.parent)
    plan = path.with_suffix(".plan")
    check_outputs(
        [("--json", json)], [*artefact_inputs(name), ("the plan", plan), ("the plan's card", card_path(plan))]
    )
    with progress_bar() as report:
        built = add_plan(path, card, order, report)
    servers.write(path, card, built)
    made = built_for(built.card)
    line = f"built {built.path} with {made.flavour} {made.version}"
    tell([line, *servers.told()])
    if json:
        document: dict[str, Any] = {"path": built.path, "plan": asdict(made), "files": built.card.files}
        write_json({"artefacts": [document], "failed": {}}, json, "fiqa-export.v1")
