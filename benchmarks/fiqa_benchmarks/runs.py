"""What ``fiqa-bench`` does once its options are read: a function for each kind of run, and where results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.system.host import threads_per_stream
from fiqa_runtime.terminal.console import progress_bar, stderr, tell
from fiqa_runtime.terminal.outputs import write_json
from rich.console import Console
from rich.markup import escape

from fiqa_benchmarks.contenders.crops import crop_names
from fiqa_benchmarks.contenders.peers import Contender, open_contender
from fiqa_benchmarks.gate.gate import Gate
from fiqa_benchmarks.photos.bench import bench_pipeline
from fiqa_benchmarks.report.ladders import score_ladders
from fiqa_benchmarks.report.page import write_report
from fiqa_benchmarks.report.sections import sections
from fiqa_benchmarks.speed.bench import Result, bench, bench_json
from fiqa_benchmarks.speed.machine import versions
from fiqa_benchmarks.speed.roofline import measure_peaks, reached, roofline_json, roofline_lines
from fiqa_benchmarks.speed.speed_tables import print_tables
from fiqa_benchmarks.watch.bench import bench_watch
from fiqa_benchmarks.watch.heads import heads_of, packaged_heads


@dataclass(frozen=True)
class Output:
    """Where results go: tables to the console, one document to `json`, a page to `html`."""

    console: Console
    json: str | None
    """A file, or `-` for stdout; None: no document."""
    html: Path | None
    """None: no page."""
    machine: Mapping[str, Any]
    """What :func:`fiqa_benchmarks.speed.machine.machine` says."""

    def write(
        self,
        document: Mapping[str, Any],
        shown: Callable[[], Mapping[str, Any]] = dict,
        schema: str = "fiqa-bench.v1",
    ) -> None:
        """Write the document of `schema`, then the page; the page also gets the machine and the sections that `shown`
        returns."""
        if self.json:
            write_json(document, self.json, schema)
        if self.html:
            write_report({"machine": self.machine, **document, **shown()}, self.html)
        places = [place for place in (self.json, self.html) if place and place != "-"]
        tell(f"wrote {place}" for place in places)


@dataclass(frozen=True)
class Settings:
    """How speed is measured."""

    threads: int | None
    rounds: int | None
    sizes: Sequence[int] = (1,)
    """Batch sizes."""
    images: Path | None = None
    """Folder of crops; None: seeded images."""
    roofline: bool = False


def time_pipeline(
    out: Output,
    entered: Sequence[Contender],
    images: Path | None,
    detector: Path | None,
    settings: Settings,
    streams: int,
) -> None:
    """``--pipeline``: photos of the folder `images` in, scored faces out; raises InputError for several engines."""
    if len(entered) > 1:
        raise InputError("--pipeline times one engine; give each a run of its own")
    photos = [read_image(path) for path in find_images([images] if images else [])]
    with progress_bar() as report:
        finder = detector or locate(DETECTOR)
        flows = bench_pipeline(entered[0], photos, finder, settings.threads, settings.rounds, report, streams)
    out.console.print(*map(escape, flows.lines()), highlight=False, soft_wrap=True)
    out.write(
        {"machine": out.machine, "versions": versions(), "pipeline": flows.as_json()}, schema="fiqa-bench-pipeline.v1"
    )


def watch_clips(
    out: Output, entered: Sequence[Contender], images: Path | None, detector: Path | None, settings: Settings
) -> None:
    """``--watch``: best shots of clips that are made of the photos in `images`; raises InputError for several
    engines."""
    if len(entered) > 1:
        raise InputError("--watch takes one engine; give each a run of its own")
    finder = detector or locate(DETECTOR)
    threads = settings.threads or threads_per_stream(2)
    photos = find_images([images] if images else [])
    heads = heads_of(photos, Detector(finder)) if photos else packaged_heads()
    with progress_bar() as report, open_contender(entered[0], threads) as scorer:
        rounds, device = settings.rounds or 3, entered[0].device
        result = bench_watch(scorer, finder, heads, threads, rounds, report, device)
    out.console.print(*map(escape, result.lines()), sep="\n", highlight=False, soft_wrap=True)
    out.write({"machine": out.machine, "versions": versions(), "watch": result.as_json()}, schema="fiqa-bench-watch.v1")


def measure_speed(
    out: Output,
    entered: Sequence[Contender],
    crops: list[Image],
    settings: Settings,
    gate: Gate | None,
) -> None:
    """Measure every contender on `crops` (uint8 BGR) and compare it with the first.

    Raises VerdictError where the first breaks a budget of `gate`, SystemExit where a contender did not run.
    """
    document: dict[str, Any] = {"machine": out.machine, "versions": versions()}
    peaks = measure_peaks(settings.threads) if settings.roofline else None
    opponents = gate.opponents if gate else ()
    with progress_bar() as report:
        results = bench([*entered, *opponents], crops, settings.sizes, settings.threads, settings.rounds, report)
    print_tables(out.console, results, settings.sizes, out.machine)
    if peaks:
        shares = reached(results, peaks)
        out.console.print(*map(escape, roofline_lines(peaks, shares)), sep="\n", highlight=False, soft_wrap=True)
        document["roofline"] = roofline_json(peaks, shares)
    source = {"source": str(settings.images or "seeded"), "count": len(crops)}
    document["settings"] = {"batches": settings.sizes, "threads": settings.threads, "images": source}
    document |= bench_json(results)
    verdict = gate and gate.judge(results, out.machine, settings.threads)
    if verdict:
        document["gate"] = verdict.as_json()
    out.write(document, lambda: _shown(results, crops, settings))
    failed = [result for result in results if result.error and result.contender not in opponents]
    for result in failed:
        line = f"[bold red]{escape(result.contender.name)}:[/] {escape(str(result.error))}"
        stderr.print(line, soft_wrap=True, highlight=False)
    if verdict:
        verdict.conclude(out.console)
    if failed:
        raise SystemExit(2)


def _shown(results: Sequence[Result], crops: list[Image], settings: Settings) -> dict[str, Any]:
    """What the page shows besides the document: the scores and, for images of faces, how they fall as faces get
    worse."""
    shown = sections(results, crops, crop_names(settings.images, len(crops)))
    if settings.images:
        with progress_bar() as report:
            shown["ladders"] = score_ladders(results, crops, settings.threads, report)
    return shown
