"""``fiqa-score``: photos or crops -> quality scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fiqa_runtime.artefact.spec import CpuPrecision, check_precision
from fiqa_runtime.command.batch import score_crops, score_photos
from fiqa_runtime.command.diagnose import diagnose_scores
from fiqa_runtime.command.options import check_files, check_options
from fiqa_runtime.command.overlay_files import picture_places, with_pictures
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import ImageResult, Stream, as_document, csv_writer, table_lines
from fiqa_runtime.errors import FiqaError, InputError, VerdictError
from fiqa_runtime.faces.detector import CONFIDENCE, LONGEST, Detector
from fiqa_runtime.faces.face_quality import FaceCropper, FaceQuality
from fiqa_runtime.faces.portrait_quality import PortraitQuality, open_landmarkers
from fiqa_runtime.images.align import Method, check_method
from fiqa_runtime.images.reading import find_images
from fiqa_runtime.scoring.agreement import json_number
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.host import limit_opencv, threads_per_stream
from fiqa_runtime.terminal.console import progress_bar, refuse_unused, run, stderr
from fiqa_runtime.terminal.outputs import check_output_folder, write_json

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Source:
    """Where results come from."""

    results: Stream
    settings: dict[str, Any]
    """How faces were found and aligned, for the JSON document."""
    crop: FaceCropper | None = None
    """Cuts the faces out again for their pictures; None where the images are crops."""


@app.command()
def score(
    engine: Annotated[str, typer.Option(help="Artefact to score with; a bare name is also looked for in engines/.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Photos, crops or their folders.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, onnxruntime, openvino, opencv or tensorrt.")] = "auto",
    aligned: Annotated[bool, typer.Option("--aligned", help="The images are ready crops: no detection.")] = False,
    detector: Annotated[Path | None, typer.Option(help="YuNet file; default: OpenCV Zoo's 2023mar.")] = None,
    min_confidence: Annotated[float, typer.Option(help="Detections below it are ignored, 0 to 1.")] = CONFIDENCE,
    align: Annotated[str, typer.Option(help="least-squares, or lmeds as in OpenCV's demo.")] = "least-squares",
    landmarks: Annotated[
        Path | None, typer.Option(help="dsl-fiqa with --aligned: folder with a NAME.npy (68, 2) per picture.")
    ] = None,
    longest_side: Annotated[
        int, typer.Option(metavar="PX", help="Photos are shrunk to it for detection; less is faster.")
    ] = LONGEST,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of detection and backend; default: what the container grants.")
    ] = None,
    cpu_precision: Annotated[
        str, typer.Option(help="exact: float32. fast: bfloat16 or float16 where the canaries allow it.")
    ] = "exact",
    overlap: Annotated[
        bool, typer.Option("--overlap", help="Find the faces of the next photo while this one's are scored.")
    ] = False,
    streams: Annotated[
        int, typer.Option(min=1, help="Photos at once, each with its share of the threads: more per second.")
    ] = 1,
    fp32_threshold: Annotated[
        float | None,
        typer.Option(help="Accept faces from this score on; carried over where the artefact is fp16 or int8."),
    ] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one line per face.")] = None,
    quality_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Write one score per image for others' evaluation code: .txt (CR-FIQA), .csv or .parquet; "
            "repeat it for several.",
        ),
    ] = None,
    overlay: Annotated[Path | None, typer.Option(help="Folder for annotated copies and score maps.")] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Instead: which mistake explains that the --reference scores differ.")
    ] = False,
    reference: Annotated[
        Path | None, typer.Option(help="--diagnose: scores from elsewhere, CSV with image,score or CR-FIQA's .txt.")
    ] = None,
    selftest: Annotated[bool, typer.Option("--self-test", help="Re-score the card's canaries on this device.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which backend is used here and why, and end.")
    ] = False,
) -> None:
    """Score every face in photos (detect, align, score), or ready crops with --aligned. Higher is better.

    Exit code 0: done. 2: bad input; what could be scored was. 3: the self-test failed.
    """
    precision, method = check_precision(cpu_precision), check_method(align)
    given: dict[str, object] = {
        "PATH": paths,
        "--explain": explain,
        "--aligned": aligned,
        "--diagnose": diagnose,
        "--reference": reference,
        "--detector": detector,
        "--min-confidence": min_confidence != CONFIDENCE,
        "--align": method != "least-squares",
        "--landmarks": landmarks,
        "--longest-side": longest_side != LONGEST,
        "--overlap": overlap,
        "--streams": streams > 1,
        "--fp32-threshold": fp32_threshold is not None,
        "--csv": csv,
        "--quality-file": quality_file,
        "--overlay": overlay,
    }
    check_options(given, selftest, decisions_are_shown=bool(json or csv or not quality_file))
    files = find_images(paths or [])
    inputs = [*(("PATH", file) for file in files), ("--detector", detector), ("--reference", reference)]
    outputs = [("--json", json), ("--csv", csv), *(("--quality-file", file) for file in quality_file or [])]
    check_files(outputs, engine, inputs)
    if streams > 1:
        threads = threads_per_stream(streams, threads)
    limit_opencv(threads)
    open_scorer = partial(_open, engine, backend, threads, precision)
    if selftest or explain:
        with open_scorer() as scorer:
            (_self_test if selftest else _explain)(scorer, json)
        return
    engine_of_detection = "opencv" if backend == "opencv" else "auto"
    open_detector = partial(
        Detector, detector, min_confidence, backend=engine_of_detection, threads=threads, longest=longest_side
    )
    if not files:
        raise InputError("nothing to score; name photos, crops or folders of them")
    if reference:
        finder = None if aligned else open_detector()
        with open_scorer() as scorer:
            diagnose_scores(scorer, reference, files, json, finder, method)
        return
    quality = [QualityFile(path, files) for path in quality_file or []]
    with ExitStack() as stack:
        scorer = stack.enter_context(open_scorer())
        if not scorer.has_score:
            raise InputError(f"{scorer.card.model} gives no quality scores; name an artefact of a quality network")
        if overlay is not None:
            places = picture_places(files, overlay)
            check_output_folder(overlay)
        if aligned:
            source = _crops(files, scorer, landmarks)
        else:
            more = (Scorer(engine, scorer.backend.name, threads, precision) for _ in range(streams - 1))
            scorers = [scorer, *map(stack.enter_context, more)]
            assessors = [_assessor(each, open_detector(), method, backend, threads, stack) for each in scorers]
            source = _photos(files, assessors, overlap, min_confidence)
        if fp32_threshold is not None:
            source = _decided(source, scorer, fp32_threshold)
        stream = source.results
        if overlay is not None:
            stream = with_pictures(stream, places, scorer, source.crop)
        show = not (json or csv or quality)
        kept, errors = _consume(stream, len(files), csv, quality, keep=json is not None, show=show)
        if json:
            write_json(as_document(scorer, kept, source.settings), json)
    errors += [complaint for file in quality[:1] if (complaint := file.complaint())]
    _raise_all(errors)


def _raise_all(errors: list[FiqaError]) -> None:
    if errors:
        rest = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        raise InputError("; ".join(map(str, errors[:3])) + rest)


def _open(engine: str, backend: str, threads: int | None, precision: CpuPrecision) -> Scorer:
    """The scorer; people are told what a first time with `auto` waits for."""
    waiting = stderr.status("opening the engine; the first time every backend is tried")
    with waiting if stderr.is_terminal else nullcontext():
        return Scorer(engine, backend, threads, precision)


def _assessor(
    scorer: Scorer, detector: Detector, align: Method, backend: str, threads: int | None, stack: ExitStack
) -> FaceQuality | PortraitQuality:
    """The assessor for the network's framing; `stack` closes what it opens."""
    if scorer.card.input.framing != "arcface-112":
        refuse_unused(scorer.card.model, {"--align": align != "least-squares"})
    if scorer.card.input.framing == "portrait-512":
        first, second = map(stack.enter_context, open_landmarkers(scorer.path, backend, threads))
        return PortraitQuality(scorer, detector, (first, second))
    return FaceQuality(scorer, detector, align)


def _photos(
    files: list[Path], assessors: Sequence[FaceQuality | PortraitQuality], overlap: bool, min_confidence: float
) -> Source:
    first, *more = assessors
    settings = {"aligned": False, **first.settings, "min_confidence": min_confidence}
    return Source(score_photos(files, first, overlap, more), settings, first.crop)


def _crops(files: list[Path], scorer: Scorer, landmarks: Path | None) -> Source:
    settings = {"aligned": True, **_landmark_settings(scorer, landmarks)}
    return Source(score_crops(files, scorer, landmarks), settings)


def _decided(source: Source, scorer: Scorer, fp32_threshold: float) -> Source:
    """The same results, each with the smallest accepted score of this artefact."""
    threshold = scorer.threshold(fp32_threshold)
    results = ((replace(result, threshold=threshold), photo) for result, photo in source.results)
    settings = {**source.settings, "fp32_threshold": fp32_threshold, "threshold": threshold}
    return replace(source, results=results, settings=settings)


def _landmark_settings(scorer: Scorer, landmarks: Path | None) -> dict[str, Any]:
    if scorer.card.input.sampling is None:
        if landmarks is not None:
            raise InputError(f"{scorer.card.model} takes no landmarks; leave --landmarks out")
        return {}
    if landmarks is None:
        return {"landmarks": "all taken for visible"}
    if not landmarks.is_dir():
        raise InputError(f"there is no folder {landmarks}; name the one with a NAME.npy per picture")
    return {"landmarks": str(landmarks)}


def _consume(
    stream: Stream, total: int, csv: Path | None, quality: Sequence[QualityFile], keep: bool, show: bool
) -> tuple[list[ImageResult], list[FiqaError]]:
    """Write results as they come; only with `keep` do they stay in memory. Raises the error if all images have one."""
    kept: list[ImageResult] = []
    errors: list[FiqaError] = []
    left_out: list[FiqaError] = []
    with progress_bar() as report, csv_writer(csv) as write_row:
        for done, (result, _) in enumerate(stream, 1):
            report("score", done, total)
            if keep:
                kept.append(result)
            if result.error:
                errors.append(result.error)
                continue
            if result.left_out:
                left_out.append(result.left_out)
            write_row(result)
            for file in quality:
                file.add(result)
            if show:
                sys.stdout.writelines(f"{line}\n" for line in table_lines(result))
        if len(errors) == total:
            raise InputError(str(errors[0]) if total == 1 else f"none of {total} images can be scored: {errors[0]}")
    for file in quality:
        file.write()
    return kept, errors + left_out


def _explain(scorer: Scorer, json: str | None) -> None:
    choice = scorer.choice
    assert choice
    if json:
        write_json({"engine": str(scorer.path), **choice.as_json()}, json)
    else:
        sys.stdout.writelines(f"{line}\n" for line in choice.lines())


def _self_test(scorer: Scorer, json: str | None) -> None:
    result = self_test(scorer)
    if json:
        largest = {name: json_number(value) for name, value in result.largest.items()}
        write_json({"passed": result.passed, "images": result.images, "max_abs": largest}, json)
    if not result.passed:
        raise VerdictError(f"{result}; export the artefact again on this machine, or choose another --backend")
    if not json:
        sys.stdout.write(f"{result}\n")


def main() -> None:
    """Entry point of ``fiqa-score``."""
    run(app)


if __name__ == "__main__":
    main()
