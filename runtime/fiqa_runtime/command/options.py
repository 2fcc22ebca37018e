"""Which options of ``fiqa-score`` go together, and which files they read."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fiqa_runtime.artefact.location import artefact_inputs
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.streams import is_stream
from fiqa_runtime.system.files import NamedFile
from fiqa_runtime.terminal.options import refuse_all_but, refuse_ignored, refuse_parts_alone, refuse_unused
from fiqa_runtime.terminal.outputs import check_outputs

ENGINE = ("--engine", "--spec", "--backend", "--device", "--threads", "--cpu-precision", "--json")
FACES = ("--detector", "--preset", "--min-confidence", "--align", "--longest-side")
COLUMNS = ("--image-column", "--id-column")
FLOW = ("--overlap", "--streams")
RAY = ("--actors", "--gpus-per-actor")
USES = {
    "--self-test": ENGINE,
    "--explain": (*ENGINE, "PATH", *COLUMNS, *FACES, *FLOW),
    "--ray": (
        *("PATH", "--engine", "--backend", "--device", "--threads", "--aligned", "--parquet", "--resume"),
        *(*COLUMNS, *FACES, *RAY),
    ),
}
"""By option: the only ones that it uses."""
THRESHOLDS = ("--threshold", "--fp32-threshold")
IGNORES = {
    "--diagnose": (
        *FLOW,
        *COLUMNS,
        "--resume",
        "--workers",
        "--landmarks",
        *THRESHOLDS,
        "--csv",
        "--jsonl",
        "--parquet",
        "--quality-file",
        "--overlay",
    ),
    "--resume": ("--json", "--quality-file"),
    "--calibrate-threshold": (
        *THRESHOLDS,
        "--resume",
        "--workers",
        "--csv",
        "--json",
        "--jsonl",
        "--parquet",
        "--quality-file",
        "--overlay",
    ),
    "--spec": ("--cpu-precision", "--fp32-threshold"),
    "--threshold": ("--fp32-threshold",),
    "--aligned": (*FACES, *FLOW),
    "--streams": ("--overlap",),
    "--workers": (*FLOW, "--overlay", "--landmarks"),
}
"""By option: those that it ignores."""


def check_options(typed: Collection[str]) -> None:
    """Raise InputError where one of the options `typed` would be ignored because of another one, or needs another
    one."""
    refuse_all_but(typed, USES)
    refuse_parts_alone(typed, {"--ray": RAY, "--workers": ("--unordered",)})
    if "--ray" in typed and not {"PATH", "--parquet"} <= {*typed}:
        raise InputError("--ray scores the pictures at PATHs into a folder; name both, as in photos/ --parquet scores/")
    if ("--diagnose" in typed) != ("--reference" in typed):
        raise InputError("--diagnose and --reference FILE go together; give both or neither")
    if ("--calibrate-threshold" in typed) != ("--reject" in typed):
        raise InputError(
            "--calibrate-threshold and --reject SHARE go together, as in --reject 5%; give both or neither"
        )
    refuse_ignored(typed, IGNORES)
    if "--resume" in typed and not {"--jsonl", "--csv", "--parquet"} & {*typed}:
        raise InputError("--resume goes on with what --csv, --jsonl or --parquet FILE has; add one of them")
    if "--landmarks" in typed and "--aligned" not in typed:
        raise InputError("--landmarks are those of ready crops; add --aligned or leave them out")
    if "--quality-file" in typed and not {"--json", "--jsonl", "--csv", "--parquet"} & {*typed}:
        refuse_unused("--quality-file without --csv or --json", [name for name in THRESHOLDS if name in typed])


def refuse_streams(paths: Iterable[str]) -> None:
    """Raise InputError where one of `paths` is a camera, an address or a video, which ``fiqa-watch`` takes."""
    for path in filter(is_stream, paths):
        shown = f"'{path}'" if " " in path else path
        raise InputError(f"{path} is a stream and not a photo; fiqa-watch {shown} --engine FILE watches it")


def check_files(outputs: Iterable[NamedFile], engine: str, inputs: Iterable[NamedFile]) -> None:
    """Raise what :func:`check_outputs` raises, the files of `engine` being inputs too, and for a missing engine."""
    check_outputs(outputs, [*inputs, *artefact_inputs(engine)])
