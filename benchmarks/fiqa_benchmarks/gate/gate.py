"""The gate for CI: compares a new engine with the document of an earlier ``fiqa-bench --json``, within a budget.

    fiqa-bench --engine NEW --images FACES --baseline OLD.json --budget budget.toml --junit gate.xml

The budget is a TOML file with any of these keys, see :data:`BUDGETS`:

    srcc = 0.99             # at least: Spearman's correlation of old and new scores of the same images
    flips = 0.02            # at most: share of images whose decision changes, at 5, 10 or 20 % rejection
    max_abs = 0.01          # at most: largest difference of a score
    latency_ratio = 1.10    # at most: time of the new network divided by that of the old one
    bytes_ratio = 1.02      # at most: size of the new files divided by that of the old ones

Scores and sizes are compared with those in the document. Times of two runs are not comparable, so:

- a new engine with the same bytes as the old one has the ratio 1;
- where the old engine still lies at its path in the document, or beside the document, with the SHA-256 that the
  document names, both are measured now, in turns, on the runtime that is installed here;
- else the medians of the document are used, but only if it was made on the same CPU with as many cores, with the same
  backend and version, threads and batch sizes;
- else the time is not checked; a budget that is not checked counts as broken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.agreement import Agreement, agree
from fiqa_runtime.system.files import write_text
from fiqa_runtime.terminal.console import stderr
from rich.console import Console
from rich.markup import escape

from fiqa_benchmarks.contenders.peers import Contender
from fiqa_benchmarks.gate.baseline import Baseline, read_baseline
from fiqa_benchmarks.gate.budget import AT_LEAST, read_budget
from fiqa_benchmarks.speed.bench import NETWORK, Result, artefact_files
from fiqa_benchmarks.speed.latency import ratio

Measured = tuple[float | None, str]
"""A value (None where it could not be measured), and how it was measured or why not."""


@dataclass(frozen=True)
class Check:
    """One line of the budget."""

    budget: str
    """The key of the budget."""
    limit: float
    value: float | None
    """The measured value; None where it could not be measured."""
    note: str = ""
    """How it was measured, or why not."""

    @property
    def passed(self) -> bool:
        """Whether the value is known and within its limit."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.budget in AT_LEAST else self.value <= self.limit

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.budget} is not known: {self.note}"
        note = f" ({self.note})" if self.note else ""
        bound = "at least" if self.budget in AT_LEAST else "at most"
        return f"{self.budget} is {self.value:.6g}, the budget asks for {bound} {self.limit:g}{note}"

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "passed": self.passed}


@dataclass(frozen=True)
class Verdict:
    """All checks of one engine."""

    engine: str
    baseline: Baseline
    budget_file: Path
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        """The ``gate`` part of the JSON document."""
        checks = [check.as_json() for check in self.checks]
        return {"engine": self.engine, "baseline": str(self.baseline.path), "checks": checks}

    def conclude(self, console: Console) -> None:
        """Print a line for each budget, those that are broken on stderr; raises VerdictError where one is broken."""
        for check in self.checks:
            place, mark = (console, "[green]kept:[/]") if check.passed else (stderr, "[bold red]broken:[/]")
            place.print(f"{mark} {escape(f'{self.engine}: {check}')}", soft_wrap=True, highlight=False)
        broken = sum(not check.passed for check in self.checks)
        if broken:
            raise VerdictError(
                f"{self.engine} breaks {broken} of {len(self.checks)} budgets; "
                f"repair it, or change {self.budget_file} on purpose"
            )

    def write_junit(self, path: Path) -> None:
        """Write JUnit XML with a test case per check, for the test view of a CI service."""
        broken = sum(not check.passed for check in self.checks)
        totals = {"tests": str(len(self.checks)), "failures": str(broken), "errors": "0"}
        root = ElementTree.Element("testsuites", totals)
        suite = ElementTree.SubElement(root, "testsuite", {"name": "fiqa-bench", **totals})
        for check in self.checks:
            case = ElementTree.SubElement(suite, "testcase", {"classname": self.engine, "name": check.budget})
            if not check.passed:
                ElementTree.SubElement(case, "failure", {"message": str(check)})
            ElementTree.SubElement(case, "system-out").text = str(check)
        ElementTree.indent(root)
        write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


@dataclass(frozen=True)
class Gate:
    """The baseline and the budget that a new engine is compared with."""

    baseline: Baseline
    budget_file: Path
    budget: Mapping[str, float]
    junit: Path | None
    opponents: tuple[Contender, ...]
    """The old engine, which is measured beside the new one; empty where that is impossible or not needed."""

    def judge(self, results: Sequence[Result], here: Mapping[str, Any], threads: int | None) -> Verdict:
        """Compare the first of `results` with the baseline, one check per budget, and write the JUnit file.

        `results` include those of the opponents; `here` is what :func:`fiqa_benchmarks.speed.machine.machine` says.
        Raises InputError for networks without a score.
        """
        new = results[0]
        old = next((result for result in results if result.contender in self.opponents), None)
        found = _agreement(self.baseline, new)
        measures: dict[str, Callable[[], Measured]] = {
            "srcc": lambda: _defined(found.srcc, "undefined, scores are constant"),
            "flips": lambda: _defined(max(found.flips.values()), "undefined for a single image"),
            "max_abs": lambda: (found.max_abs, ""),
            "latency_ratio": lambda: _latency(self.baseline, new, old, here, threads),
            "bytes_ratio": lambda: _bytes(self.baseline, new),
        }
        checks = tuple(Check(key, limit, *measures[key]()) for key, limit in self.budget.items())
        verdict = Verdict(new.contender.name, self.baseline, self.budget_file, checks)
        if self.junit:
            verdict.write_junit(self.junit)
        return verdict


def open_gate(
    baseline: Path, budget: Path | None, junit: Path | None, new: Contender, card: Card, crops: list[Image]
) -> Gate:
    """Read the document `baseline` and the file `budget`, and find the old engine; `card` is that of the engine `new`.

    Raises InputError, before anything is measured, where one of them cannot be used or the document is about another
    network or other images than `crops` (uint8 BGR).
    """
    if budget is None:
        raise InputError("--baseline needs --budget FILE, a TOML file as in srcc = 0.99")
    limits = read_budget(budget)
    artefact = Path(new.artefact)
    found = read_baseline(baseline, new.name)
    found.check_same_task(card.model, crops)
    engine = None if found.is_file_of(artefact_files(artefact, card)) else found.find_engine()
    if engine is None or "latency_ratio" not in limits:
        return Gate(found, budget, limits, junit, ())
    old = Contender(
        f"baseline {found.name}", str(engine), new.backend, cpu_precision=new.cpu_precision, device=new.device
    )
    return Gate(found, budget, limits, junit, (old,))


def _agreement(baseline: Baseline, new: Result) -> Agreement:
    if new.scores is None:
        raise InputError(f"{new.contender.name} gives no quality scores, which the gate compares; leave --baseline out")
    images = sorted(baseline.scores)
    return agree([baseline.scores[image] for image in images], [new.scores[image] for image in images])


def _defined(value: float, reason: str) -> Measured:
    return (None, reason) if math.isnan(value) else (value, "")


def _bytes(baseline: Baseline, new: Result) -> Measured:
    assert new.loaded is not None and new.loaded.file_bytes is not None, "an engine has files"
    return new.loaded.file_bytes / baseline.file_bytes, f"{new.loaded.file_bytes} bytes, before {baseline.file_bytes}"


def _latency(
    baseline: Baseline, new: Result, old: Result | None, here: Mapping[str, Any], threads: int | None
) -> Measured:
    assert new.loaded is not None
    if baseline.is_file_of(new.loaded.files):
        return 1.0, "the same file"
    if old is not None and old.error:
        return None, f"the old engine does not run here ({old.error})"
    if old is not None:
        ratios = [
            ratio(new.batches[size].timings[NETWORK], old.batches[size].timings[NETWORK]).median for size in new.batches
        ]
        return max(ratios), "measured in turns, the worst batch size"
    if reasons := _other_conditions(baseline, new, here, threads):
        wanted = Path(baseline.engine).name
        return None, f"the baseline has {'; '.join(reasons)}; put its {wanted} beside {baseline.path} to measure both"
    medians = {size: 1e3 * outcome.timings[NETWORK].percentile(50) for size, outcome in new.batches.items()}
    return max(medians[size] / baseline.medians_ms[size] for size in medians), "medians of two runs on equal machines"


def _other_conditions(baseline: Baseline, new: Result, here: Mapping[str, Any], threads: int | None) -> list[str]:
    """The reasons why the times of `baseline` cannot be compared with times here."""
    assert new.loaded is not None
    pairs = {
        "CPU": (baseline.cpu, here["cpu"]),
        "cores": (baseline.cores, here["usable_cores"]),
        "backend": (_text(baseline.backend), _text(new.loaded.backend)),
        "threads": (baseline.threads, threads),
    }
    reasons = [f"{what} {old}, not {now}" for what, (old, now) in pairs.items() if old != now]
    missing = [str(size) for size in new.batches if size not in baseline.medians_ms]
    return reasons + ([f"no time for batch {', '.join(missing)}"] if missing else [])


def _text(backend: Mapping[str, str]) -> str:
    return " ".join(map(str, backend.values()))
