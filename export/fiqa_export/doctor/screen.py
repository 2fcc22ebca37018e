"""``fiqa-export --doctor``: shows what this machine has for building TensorRT plans, what is wrong, and how to mend
it."""

from __future__ import annotations

from dataclasses import asdict

from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.terminal.outputs import write_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_export.doctor.checks import NEEDED_FLAVOURS, Diagnosis, judge_facts
from fiqa_export.doctor.gather import Machine, ThisMachine, gather

MARKS = {"ok": "[green]ok[/]", "absent": "[dim]--[/]", "warning": "[yellow]look[/]", "bad": "[bold red]bad[/]"}


def run_doctor(target: str, json: str | None, machine: Machine | None = None) -> None:
    """Look at this machine (or `machine`) and say on one screen, or as JSON, whether `target` can work.

    Raises InputError for an unknown target, UnsupportedError, which says why and what to do, where it cannot work.
    """
    if target not in NEEDED_FLAVOURS:
        raise InputError(f"unknown target '{target}'; choose {', '.join(NEEDED_FLAVOURS)}")
    facts = gather(machine or ThisMachine())
    diagnosis = judge_facts(facts, target)
    if json:
        write_json({**asdict(diagnosis), "facts": asdict(facts)}, json, "fiqa-export-doctor.v1")
    if json != "-":
        _print(diagnosis)
    if not diagnosis.works:
        line = diagnosis.stopper
        raise UnsupportedError(f"target {target} cannot work here: {line.topic}: {line.text}; {line.fix}")


def _print(diagnosis: Diagnosis) -> None:
    stdout = Console()
    table = Table.grid(padding=(0, 2))
    for line in diagnosis.lines:
        table.add_row(MARKS[line.status], line.topic, escape(line.text))
        if line.fix:
            table.add_row("", "", f"[dim]->[/] {escape(line.fix)}")
    stdout.print(table)
    stdout.print(f"target {diagnosis.target}: {_verdict(diagnosis)}", soft_wrap=True, highlight=False)


def _verdict(diagnosis: Diagnosis) -> str:
    if not diagnosis.works:
        return "[bold red]cannot work[/]"
    if diagnosis.flavours:
        files = "" if diagnosis.exports else " of exported ONNX files"
        return f"[green]builds plans{files} with {diagnosis.flavours[0]}[/]"
    return "[yellow]exports ONNX, builds no plan[/]"
