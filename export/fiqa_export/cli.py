"""``fiqa-export``: checkpoint -> artefact with card and parity verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.card import card_path
from fiqa_runtime.artefact.location import ENGINES
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.artefact.zoo import GROUPS, find_model
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.networks.likeness import network_file_like
from fiqa_runtime.networks.registry import find_network, network_file_of
from fiqa_runtime.onnx_bytes.data_file import data_file
from fiqa_runtime.system.host import let_openmp_sleep
from fiqa_runtime.terminal.common_options import Quiet, Verbose, Version, panel
from fiqa_runtime.terminal.console import run
from fiqa_runtime.terminal.options import refuse_all_but, refuse_parts_alone, refuse_unused, typed_options
from fiqa_runtime.terminal.outputs import check_output_folder, check_outputs

from fiqa_export.doctor.facts import EXPORT_PACKAGES
from fiqa_export.verdict.recipe import FP16, INT8, RECIPES, Recipe

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
_what, _how, _plan = panel("What is exported"), panel("Precision"), panel("TensorRT plan")
_where, _check = panel("Where it goes"), panel("Checks")
EXAMPLE = "Example: fiqa-export ediffiqa-t --int8 --calib photos/ --target none"

USES = {
    "--list": ("MODEL", "--json"),
    "--fetch": ("MODEL", "--weights"),
    "--inspect": ("MODEL",),
    "--doctor": ("--target", "--json"),
}
"""The options that each of these options uses; it ignores all others."""
PLAN = ("--batch", "--workspace", "--optimisation", "--version-compatible", "--hardware-compatible", "--dla")
"""The options of a plan."""
FINISHED = ("MODEL", "--target", *PLAN, "--triton", "--with-faces", "--deepstream", "--json")
"""The only ones that apply where MODEL is a finished ONNX file."""


@app.command(epilog=EXAMPLE)
def export(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help="Network to export, 'mtcnn' for its three, 'all' (--list shows them), a network file .toml of your "
            "own, or an exported .onnx file to build a plan of."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        _what(help="FILE, a weight set of --list, 'seeded' or 'seeded:N'. Default: the authors' file."),
    ] = None,
    fp16: Annotated[bool, _how("--fp16", help="Half precision where the ranking survives it.")] = False,
    int8: Annotated[bool, _how("--int8", help="8-bit integers where the ranking survives it.")] = False,
    calib: Annotated[
        str | None,
        _how(help="--int8: folder of photos or face crops, a file of ranges, or 'seeded' for a dry run."),
    ] = None,
    min_srcc: Annotated[
        float | None,
        _how(
            help="--fp16, --int8: smallest rank correlation with the scores of the reference, 0 to 1. Default: fp16 "
            f"{FP16.trained_srcc}, int8 {INT8.trained_srcc}; seeded weights {FP16.budget.srcc} and {INT8.budget.srcc}."
        ),
    ] = None,
    max_flips: Annotated[
        float | None,
        _how(
            help="--fp16, --int8: largest share of decisions, 0 to 1, that flip where 10 % are rejected. Default: fp16 "
            f"{FP16.budget.flips}, int8 {INT8.budget.flips}."
        ),
    ] = None,
    fetch: Annotated[
        bool, _what("--fetch", help="Bring the weights of MODEL, or of 'all', to this machine and end.")
    ] = False,
    like: Annotated[
        str | None, _what(metavar="NETWORK", help="MODEL is an ONNX file of others, fed as this network is: export it.")
    ] = None,
    licence: Annotated[str | None, _what(help="--like: licence of its weights.")] = None,
    raw_input: Annotated[
        bool,
        _what("--raw-input", help="The graph takes uint8 BGR crops and normalises them itself."),
    ] = False,
    target: Annotated[
        str,
        _plan(help="TensorRT plan beside the ONNX file: auto, tensorrt, tensorrt-rtx or none."),
    ] = "auto",
    batch: Annotated[str | None, _plan(metavar="MIN,OPT,MAX", help="Batches of the plan.")] = None,
    workspace: Annotated[int | None, _plan(metavar="MIB", help="Most GPU memory that a layer may use.")] = None,
    optimisation: Annotated[int | None, _plan(help="0 (quick build) to 5 (quick plan).")] = None,
    version_compatible: Annotated[
        bool,
        _plan("--version-compatible", help="Later TensorRT versions run the plan too."),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        _plan("--hardware-compatible", help="Other Ampere and later GPUs run the plan too."),
    ] = False,
    dla: Annotated[int | None, _plan(help="Deep learning accelerator to build for.")] = None,
    triton: Annotated[Path | None, _where(help="Triton model repository to add the artefact to.")] = None,
    with_faces: Annotated[
        bool, _where("--with-faces", help="--triton: models for crops and for photos too, by Triton's python backend.")
    ] = False,
    deepstream: Annotated[Path | None, _where(help="Folder for the artefact with nvinfer's settings.")] = None,
    out: Annotated[Path, _where(help="Folder for the artefacts.")] = ENGINES,
    images: Annotated[
        Path | None,
        _check(help="Photos or crops to degrade for the parity check, instead of a portrait."),
    ] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    keep_failed: Annotated[bool, _check("--keep-failed", help="Keep an artefact that fails its verdict.")] = False,
    list_models: Annotated[
        bool, _check("--list", help="Show the known networks, or all about MODEL, and end.")
    ] = False,
    look_into: Annotated[
        bool,
        _check("--inspect", help="Say what is in MODEL, a checkpoint or ONNX file, and begin a network file for it."),
    ] = False,
    doctor: Annotated[
        bool,
        _check("--doctor", help="Say what this machine can build for --target, and how to mend it."),
    ] = False,
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Export a face image quality network to ONNX and TensorRT, with a card and a parity verdict against PyTorch.

    fp16 is judged in true half arithmetic, int8 as it computes; both by what they do to the ranking.

    Exit code 0: done. 2: bad input or missing dependency. 3: a verdict failed, no artefact was left.
    """
    typed = typed_options(context)
    refuse_all_but(typed, USES)
    refuse_parts_alone(typed, {"--like": ("--licence",), "--triton": ("--with-faces",)})
    if _answered(model, weights, target, json, list_models, doctor, fetch, look_into):
        return
    if model is None:
        raise InputError("which network? fiqa-export MODEL; fiqa-export --list shows all of them")
    if like is not None:
        model = str(network_file_like(Path(model), like, licence, out))
    from_file = model.endswith(".onnx")
    if from_file:
        refuse_unused(f"{model} is exported already and", [name for name in typed if name not in FINISHED])
    if target == "none":
        refuse_unused("--target none", [name for name in typed if name in PLAN])
    names = [] if from_file else list(GROUPS.get(model.lower(), ())) or [_name_of(model)]
    specs = [find_network(name) for name in names]
    for folder in (None if from_file else out, triton, deepstream):
        if folder is not None:
            check_output_folder(folder)
    recipe = _recipe(fp16, int8)
    sources = [("--weights", weights), ("--calib", calib)]
    read = [(name, file) for name, file in sources if file and Path(file).is_file()]
    written = [
        ("an output of the export", out / file) for file in _written([spec.name for spec in specs], recipe.precision)
    ]
    check_outputs([("--json", json)], [*read, *written])
    _need("onnx")
    from fiqa_export.plan.target import PlanOptions
    from fiqa_export.serving.delivery import ServingFolders

    flags = (optimisation, version_compatible, hardware_compatible, dla)
    plan = PlanOptions(target, _batch(batch), workspace and workspace << 20, *flags)
    servers = ServingFolders(triton, deepstream, with_faces)
    if from_file:
        from fiqa_export.command.plan_command import plan_of

        plan_of(model, plan, servers, json)
        return
    for spec in specs:
        servers.check(spec.name, spec.input, spec.outputs)
    _need(*EXPORT_PACKAGES)
    from fiqa_export.command.export_command import export_all
    from fiqa_export.pipeline import Options

    recipe = _within(recipe, specs, min_srcc, max_flips)
    options = Options(recipe, images, calib, raw_input, keep_failed)
    export_all(names, weights, out, options, None if target == "none" else plan, servers, json)


def _answered(
    model: str | None,
    weights: str | None,
    target: str,
    json: str | None,
    list_models: bool,
    doctor: bool,
    fetch: bool,
    look_into: bool,
) -> bool:
    """Whether the command was a question, or asked for weights alone, which this has done."""
    if list_models:
        from fiqa_export.command.list_command import list_networks

        list_networks(model, json)
    elif doctor:
        from fiqa_export.doctor.screen import run_doctor

        run_doctor(target, json)
    elif fetch and model is not None:
        from fiqa_export.command.fetch_command import fetch_weights

        fetch_weights(GROUPS.get(model.lower()) or (find_model(model).name,), weights)
    elif look_into and model is not None:
        _need(*EXPORT_PACKAGES)
        from fiqa_export.command.inspect_command import inspect

        inspect(Path(model))
    else:
        return False
    return True


def _name_of(model: str) -> str:
    """What `model` is called further on: a network of this project by its name, others as they were typed."""
    return find_network(model).name if network_file_of(model) is None else model


def _written(names: list[str], precision: str) -> Iterator[str]:
    """Names of the files that an export of the networks `names` in `precision` may write."""
    for name in names:
        stem = f"{name}.{precision}"
        onnx, plan = Path(f"{stem}.onnx"), Path(f"{stem}.plan")
        yield from (onnx.name, card_path(onnx).name, data_file(onnx).name)
        yield from (plan.name, card_path(plan).name, f"{name}.plan")
        if precision == "int8":
            yield from (f"{name}.calibration.json", f"{stem}.png")
            yield from (f"{name}.ranges{suffix}.json" for suffix in ("", ".part", ".search"))


def _recipe(fp16: bool, int8: bool) -> Recipe:
    if fp16 and int8:
        raise InputError("--fp16 and --int8 make two artefacts; run the command once for each")
    return RECIPES["fp16" if fp16 else "int8" if int8 else "fp32"]


def _within(recipe: Recipe, specs: list[ModelSpec], srcc: float | None, flips: float | None) -> Recipe:
    """`recipe` with the limits that the user gives in place of its own."""
    if (srcc, flips) == (None, None):
        return recipe
    if recipe.precision == "fp32":
        raise InputError("--min-srcc and --max-flips are for reduced precision; add --fp16 or --int8")
    if not any(output.kind == "score" for spec in specs for output in spec.outputs):
        raise InputError(f"{specs[0].name} gives no score to rank by; leave out --min-srcc and --max-flips")
    if srcc is not None:
        if not 0 < srcc <= 1:
            raise InputError(
                f"--min-srcc {srcc:g} is not a rank correlation to ask for; choose a number above 0, at most 1"
            )
        recipe = replace(recipe, budget=replace(recipe.budget, srcc=srcc), trained_srcc=srcc)
    if flips is not None:
        if not 0 <= flips < 1:
            raise InputError(
                f"--max-flips {flips:g} is not a share to allow; choose a number from 0 to below 1, as in 0.01"
            )
        recipe = replace(recipe, budget=replace(recipe.budget, flips=flips))
    return recipe


def _batch(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    try:
        smallest, usual, largest = map(int, text.split(","))
    except ValueError as error:
        raise InputError(f"--batch {text} is not a range; write three whole numbers, as in --batch 1,8,32") from error
    return smallest, usual, largest


def _need(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if not find_spec(name)]
    if missing:
        raise DependencyError(f"{', '.join(missing)} not installed; pip install 'fiqa-edge[export]'")


def main() -> None:
    """Entry point of ``fiqa-export``."""
    let_openmp_sleep()
    run(app)


if __name__ == "__main__":
    main()
