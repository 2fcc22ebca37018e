"""Which options of ``fiqa-score`` go together, and which files they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fiqa_runtime.artefact.location import artefact_inputs
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import NamedFile
from fiqa_runtime.terminal.console import refuse_unused
from fiqa_runtime.terminal.outputs import check_outputs

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
