"""Results as they come are shown or written; only for a JSON document do they stay in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import PASSED_OVER, ImageResult, Stream, csv_writer, row_without_score, table_lines
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.terminal.console import progress_bar


class Written:
    """What a run writes besides its JSON document: the CSV, the quality files, or the table on stdout."""

    def __init__(self, csv: Path | None, quality: Sequence[QualityFile], keep: bool) -> None:
        self.csv = csv
        self.quality = quality
        self.kept: list[ImageResult] = []
        self.errors: list[FiqaError] = []
        self.left_out: list[FiqaError] = []
        self._keep = keep
        self._show = not (keep or csv or quality)
        self._rows = 0

    def consume(self, stream: Stream, account: Account) -> None:
        """Write all results of `stream`. Raises the error where every image has one."""
        with progress_bar() as report, csv_writer(self.csv) as write_rows:
            for done, (result, _) in enumerate(stream, 1):
                report("score", done, account.given)
                account.add(result)
                rows = list(result.rows())
                self._rows += len(rows)
                write_rows(rows)
                self._take(result, alone=account.given == 1)
            write_rows([row_without_score(path, PASSED_OVER, why) for path, why in account.passed_over.items()])
            self._rows += len(account.passed_over)
            if len(self.errors) == account.given:
                first = self.errors[0]
                raise InputError(
                    str(first) if account.given == 1 else f"none of {account.given} images can be scored: {first}"
                )
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
        if self._show and not (alone and result.error):  # whose error is the command's own
            sys.stdout.writelines(f"{line}\n" for line in table_lines(result))

    def lines(self, json: str | None) -> Iterator[str]:
        """For people: how much was written where; what went to stdout needs no word."""
        if json and json != "-":
            yield f"wrote {counted(len(self.kept), 'image')} to {json}"
        if self.csv and str(self.csv) != "-":
            yield f"wrote {counted(self._rows, 'row')} to {self.csv}"
        for file in self.quality:
            yield f"wrote {counted(len(file), 'score')} to {file.path}"
