"""Which options of ``fiqa-score`` go together, and which files they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fiqa_runtime.card import card_path
from fiqa_runtime.console import NamedFile, check_outputs, refuse_unused
from fiqa_runtime.errors import InputError
from fiqa_runtime.scorer import find_artefact

FLOW = ("--overlap", "--streams")
IGNORED = {
    "--diagnose": (*FLOW, "--landmarks", "--fp32-threshold", "--csv", "--quality-file", "--overlay"),
    "--aligned": ("--detector", "--min-confidence", "--align", "--longest-side", *FLOW),
    "--streams": ("--overlap",),
}
"""Options that would have no effect, by the one that is the reason."""


def check_options(given: Mapping[str, object], selftest: bool, decisions_are_shown: bool) -> None:
    """Raise InputError where one of the options `given` would be ignored because of another one."""
    if selftest or given["--explain"]:
        mode = "--self-test" if selftest else "--explain"
        refuse_unused(mode, {name: value for name, value in given.items() if name != mode})
    if bool(given["--diagnose"]) != bool(given["--reference"]):
        raise InputError("--diagnose and --reference FILE go together; give both or neither")
    for mode, ignored in IGNORED.items():
        if given[mode]:
            refuse_unused(mode, {name: given[name] for name in ignored})
    if given["--landmarks"] and not given["--aligned"]:
        raise InputError("--landmarks are those of ready crops; add --aligned or leave them out")
    if not decisions_are_shown:
        refuse_unused("--quality-file without --csv or --json", {"--fp32-threshold": given["--fp32-threshold"]})


def check_files(outputs: Iterable[NamedFile], engine: str, inputs: Iterable[NamedFile]) -> None:
    """Raise what :func:`check_outputs` raises, the files of `engine` being inputs too, and for a missing engine."""
    check_outputs(outputs, [*inputs, *artefact_inputs(engine)])


def artefact_inputs(engine: str) -> list[NamedFile]:
    """The files of the artefact `engine`, which no output may replace; raises InputError where there is none."""
    path = find_artefact(engine)
    data = path.with_name(f"{path.name}.data")
    return [("the artefact", path), ("the artefact's card", card_path(path)), ("the artefact's weights", data)]
