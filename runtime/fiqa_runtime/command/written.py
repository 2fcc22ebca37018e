"""Where the results of a run go: what holds them all, what is written as they come, and the table on the terminal."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import (
    COLUMNS,
    PASSED_OVER,
    ImageResult,
    Rows,
    Stream,
    line_of,
    line_of_passed_over,
    row_of,
    row_of_passed_over,
    row_without_score,
)
from fiqa_runtime.command.table import Table
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.runs.journal import Journal
from fiqa_runtime.runs.part_file import part_of
from fiqa_runtime.terminal.console import progress_bar, tell

SHOWN = 3
"""Errors named at the end of a run; the others are counted."""


class Sink(Protocol):
    """What lines are written to: stdout, or a file that grows."""

    def write(self, text: str, /) -> object: ...


class Written:
    """Takes results as they come, hands them to the outputs, and says at the end how much was written where.

    `csv` and `jsonl` are ``-`` for stdout or outputs of the `journal`, None for none, as `parquet`, which is never
    ``-``; `keep` holds every result for a JSON document.
    """

    def __init__(
        self,
        journal: Journal,
        csv: Path | None,
        jsonl: Path | None,
        parquet: Path | None,
        quality: Sequence[QualityFile],
        keep: bool,
        table: Table | None,
    ) -> None:
        self.csv = csv
        self.jsonl = jsonl
        self.parquet = parquet
        self.quality = quality
        self.kept: list[ImageResult] = []
        self._journal = journal
        self._keep = keep
        self._table = table
        self._rows = self._lines = self._complaints = 0
        self._errors: list[FiqaError] = []

    def consume(self, stream: Stream, account: Account) -> None:
        """Write all results of `stream`. Raises the error where every image has one.

        Where it is cut, what was written stays for a run with ``--resume``, and a line says so.
        """
        try:
            self._take_earlier(account)
            self._write_all(stream, account)
            if not account.all_refused:
                self._journal.finish()
        except BaseException:
            self._journal.close()
            if self._journal.can_go_on and account.outcomes:
                parts = ", ".join(str(part_of(path)) for path in self._journal.parts)
                done = f"{sum(account.outcomes.values())} of {counted(account.given, 'image')}"
                tell([f"{done} stand in {parts}; the same command with --resume goes on"])
            raise
        if account.all_refused:
            self._journal.discard()
            first = self._errors[0]
            raise InputError(
                str(first) if account.given == 1 else f"none of {account.given} images can be scored: {first}"
            )
        if self._table is not None:
            _show(self._table.last())
        for file in self.quality:
            file.write()

    def _take_earlier(self, account: Account) -> None:
        for image, done in self._journal.done.items():
            account.add_earlier(Path(image), done.outcome, done.error)
            if done.error:
                self._complain(InputError(done.error))
        grown = None if self.csv is None else self._journal.parts.get(self.csv)
        if self._journal.done and grown is not None and not grown.direct:
            self._rows = _rows_in(part_of(grown.path))

    def _write_all(self, stream: Stream, account: Account) -> None:
        earlier = len(self._journal.done)
        rows, lines, table = (self._sink(path) for path in (self.csv, self.jsonl, self.parquet))
        writer = None
        if rows is not None:
            writer = csv.writer(rows, lineterminator="\n" if rows is sys.stdout else "\r\n")
            if not self._rows:
                writer.writerow(COLUMNS)
        with progress_bar() as report:
            for done, (result, _) in enumerate(stream, earlier + 1):
                report("score", done, account.given)
                account.add(result)
                self._write(writer, result.rows())
                _write_line(lines, line_of, result)
                _write_line(table, row_of, result)
                error = result.error or result.left_out
                self._journal.add(result.path, result.outcome, None if error is None else str(error))
                self._take(result, alone=account.given == 1)
        for path, why in account.passed_over.items():
            self._write(writer, [row_without_score(path, PASSED_OVER, why)])
            _write_line(lines, line_of_passed_over, path, why)
            _write_line(table, row_of_passed_over, path, why)
        self._lines = account.given + len(account.passed_over)

    def _sink(self, path: Path | None) -> Sink | None:
        if path is None:
            return None
        return sys.stdout if str(path) == "-" else self._journal.parts[path]

    def _write(self, writer: Any, rows: Rows) -> None:
        if writer is not None:
            for row in rows:
                writer.writerow(row)
                self._rows += 1

    def _complain(self, error: FiqaError) -> None:
        self._complaints += 1
        if len(self._errors) < SHOWN:
            self._errors.append(error)

    def _take(self, result: ImageResult, alone: bool) -> None:
        if self._keep:
            self.kept.append(result)
        if result.error or result.left_out:
            self._complain(result.error or result.left_out)  # type: ignore[arg-type]  # one of them is there
        for file in self.quality:
            file.add(result)
        if self._table is not None and not (alone and result.error):  # whose error is the command's own
            if self._table.begins:
                _show([self._table.head()])
            _show(self._table.lines(result))

    def lines(self, json: str | None) -> Iterator[str]:
        """For people: how much was written where; what went to stdout needs no word."""
        if json and json != "-":
            yield f"wrote {counted(len(self.kept), 'image')} to {json}"
        if self.jsonl is not None and str(self.jsonl) != "-":
            yield f"wrote {counted(self._lines, 'line')} to {self.jsonl}"
        if self.csv is not None and str(self.csv) != "-":
            yield f"wrote {counted(self._rows, 'row')} to {self.csv}"
        if self.parquet is not None:
            yield f"wrote {counted(self._lines, 'row')} to {self.parquet}"
        for file in self.quality:
            yield f"wrote {counted(len(file), 'score')} to {file.path}"

    def raise_complaints(self, more: Iterable[FiqaError] = ()) -> None:
        """Raise InputError where images were refused or faces left out, or with `more` of such kind; else return."""
        for error in more:
            self._complain(error)
        if self._errors:
            hidden = self._complaints - len(self._errors)
            raise InputError("; ".join(map(str, self._errors)) + (f" (and {hidden} more)" if hidden else ""))


def _rows_in(path: Path) -> int:
    """Rows of a CSV under its head."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return sum(1 for _ in csv.reader(stream)) - 1


def _write_line(sink: Sink | None, make: Callable[..., Mapping[str, Any]], *of: object) -> None:
    if sink is not None:
        sink.write(json.dumps(make(*of), allow_nan=False) + "\n")


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
