"""Results as they come are shown or written; only for a JSON document do they stay in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.jsonl import jsonl_writer, line_of, line_of_passed_over
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import PASSED_OVER, ImageResult, Stream, csv_writer, row_without_score
from fiqa_runtime.command.table import Table
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.terminal.console import progress_bar


class Written:
    """What a run writes besides its JSON document: CSV, lines of JSON, quality files, or `table` on stdout."""

    def __init__(
        self, csv: Path | None, jsonl: Path | None, quality: Sequence[QualityFile], keep: bool, table: Table | None
    ) -> None:
        self.csv = csv
        self.jsonl = jsonl
        self.quality = quality
        self.kept: list[ImageResult] = []
        self.errors: list[FiqaError] = []
        self.left_out: list[FiqaError] = []
        self._keep = keep
        self._table = table
        self._rows = self._lines = 0

    def consume(self, stream: Stream, account: Account) -> None:
        """Write all results of `stream`. Raises the error where every image has one."""
        with ExitStack() as stack:
            report = stack.enter_context(progress_bar())
            write_rows = stack.enter_context(csv_writer(self.csv))
            write_line = stack.enter_context(jsonl_writer(self.jsonl))
            for done, (result, _) in enumerate(stream, 1):
                report("score", done, account.given)
                account.add(result)
                rows = list(result.rows())
                self._rows += len(rows)
                write_rows(rows)
                write_line(line_of(result))
                self._take(result, alone=account.given == 1)
            for path, why in account.passed_over.items():
                write_rows([row_without_score(path, PASSED_OVER, why)])
                write_line(line_of_passed_over(path, why))
            self._rows += len(account.passed_over)
            self._lines = account.given + len(account.passed_over)
            if len(self.errors) == account.given:
                first = self.errors[0]
                raise InputError(
                    str(first) if account.given == 1 else f"none of {account.given} images can be scored: {first}"
                )
        if self._table is not None:
            _show(self._table.last())
        for file in self.quality:
            file.write()

    def _take(self, result: ImageResult, alone: bool) -> None:
        if self._keep:
            self.kept.append(result)
        if result.error:
            self.errors.append(result.error)
        if result.left_out:
            self.left_out.append(result.left_out)
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
        if self.csv and str(self.csv) != "-":
            yield f"wrote {counted(self._rows, 'row')} to {self.csv}"
        if self.jsonl and str(self.jsonl) != "-":
            yield f"wrote {counted(self._lines, 'line')} to {self.jsonl}"
        for file in self.quality:
            yield f"wrote {counted(len(file), 'score')} to {file.path}"


def _show(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
