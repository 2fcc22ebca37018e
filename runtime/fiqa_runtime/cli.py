"""``fiqa-score``: photos or crops -> quality scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fiqa_runtime.artefact.location import default_engine
from fiqa_runtime.artefact.spec import check_precision
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.devices import DEVICE_HELP, PLAN_BACKEND
from fiqa_runtime.command.engine_questions import show_choice, show_self_test
from fiqa_runtime.command.options import check_files, check_options, refuse_streams
from fiqa_runtime.command.score_command import score_images
from fiqa_runtime.command.settings import MTCNN, YUNET, EngineSettings, FaceSettings, ScoreSettings, Workers
from fiqa_runtime.command.threshold import read_share
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import CONFIDENCE, LONGEST
from fiqa_runtime.faces.mtcnn_detector import LEAST, PRESETS, PresetName, check_preset
from fiqa_runtime.images.align import check_method
from fiqa_runtime.images.reading import Found, search_images
from fiqa_runtime.ray_command.score_on_ray import RaySettings, score_on_ray
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.runs.shares import read_list, read_shard, share_of
from fiqa_runtime.system.host import limit_opencv, threads_per_stream
from fiqa_runtime.terminal.common_options import ENGINE_HELP, Quiet, Verbose, Version, panel
from fiqa_runtime.terminal.console import run, tell
from fiqa_runtime.terminal.options import typed_options

MOST_STREAMS = 64
"""Each stream loads the network and the detector anew."""
app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
_what, _faces, _decide = panel("What is scored"), panel("How faces are found and cut out"), panel("Which are accepted")
_where, _speed, _check = panel("Where it goes"), panel("Speed"), panel("Checks")
_ray = panel("Many machines")
EXAMPLE = "Example: fiqa-score photos/ --engine ediffiqa-t.fp32.onnx --threshold 0.5 --overlay out/"


@app.command(epilog=EXAMPLE)
def score(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Photos, crops or their folders; tar and Parquet files that hold some."),
    ] = None,
    list_file: Annotated[
        Path | None, _what("--list", metavar="FILE", help="Also the files named in FILE, one per line; '-' is stdin.")
    ] = None,
    shard: Annotated[
        str | None, _what(metavar="I/N", help="Only the I-th of N shares, for N machines that work together.")
    ] = None,
    engine: Annotated[
        str | None,
        _what(help=ENGINE_HELP),
    ] = None,
    backend: Annotated[str, _speed(help=f"auto, {', '.join(ONNX_BACKENDS)} or {PLAN_BACKEND}.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    spec: Annotated[
        Path | None,
        _what(metavar="NET.toml", help="Network file that describes an ONNX file of others, without a card."),
    ] = None,
    image_column: Annotated[
        str | None,
        _what(metavar="NAME", help="Column of Parquet files with the image bytes. Default: bytes or image."),
    ] = None,
    id_column: Annotated[
        str | None,
        _what(metavar="NAME", help="Column of Parquet files with the names. Default: id, key or the row's number."),
    ] = None,
    aligned: Annotated[bool, _what("--aligned", help="The images are ready crops: no detection.")] = False,
    detector: Annotated[
        str | None,
        _faces(
            metavar="yunet|mtcnn|FILE",
            help="What finds the faces. Default: YuNet; for dsl-fiqa MTCNN, as its authors, where it was exported.",
        ),
    ] = None,
    preset: Annotated[str | None, _faces(help=f"How MTCNN is used: {' or '.join(PRESETS)}; default: facenet.")] = None,
    min_confidence: Annotated[
        float | None,
        _faces(help=f"Detections below it are ignored, 0 to 1. Default: YuNet {CONFIDENCE}, MTCNN {LEAST[2]}."),
    ] = None,
    align: Annotated[str, _faces(help="least-squares, or lmeds as in OpenCV's demo.")] = "least-squares",
    landmarks: Annotated[
        Path | None, _faces(help="dsl-fiqa with --aligned: folder with a NAME.npy (68, 2) per picture.")
    ] = None,
    longest_side: Annotated[
        int | None,
        _speed(
            metavar="PX",
            help=f"Photos are shrunk to it for detection; less is faster. Default: YuNet {LONGEST}, MTCNN never.",
        ),
    ] = None,
    threads: Annotated[
        int | None, _speed(min=1, help="Threads of detection and backend; default: what the container grants.")
    ] = None,
    cpu_precision: Annotated[
        str, _speed(help="exact: float32. fast: bfloat16 or float16 where the ranking of faces is kept.")
    ] = "exact",
    overlap: Annotated[
        bool,
        _speed("--overlap", help="Find the next photo's faces while this one's are scored, unless it is slower."),
    ] = False,
    streams: Annotated[
        int | None,
        _speed(
            min=1,
            max=MOST_STREAMS,
            help="Photos at once, each with its share of the threads. Default: measured in long runs, and remembered.",
        ),
    ] = None,
    workers: Annotated[
        int,
        _speed(min=1, max=MOST_STREAMS, help="Processes that score, each with its share of the threads."),
    ] = 1,
    unordered: Annotated[
        bool,
        _speed("--unordered", help="With --workers: write results as they are done, not in the order of the images."),
    ] = False,
    ray: Annotated[
        str | None,
        _ray(
            "--ray",
            metavar="HOST:PORT|auto|local",
            help="Score by Ray Data: on a cluster, on the one this machine is part of, or on this machine. A PATH may "
            "be a URI (s3://...); --parquet names a folder or URI.",
        ),
    ] = None,
    actors: Annotated[
        int | None, _ray(min=1, help="Processes that score. Default: as many as there are CPUs for.")
    ] = None,
    gpus_per_actor: Annotated[
        float, _ray(min=0, help="GPUs of each, which may be a fraction; for engines that run on one.")
    ] = 0,
    threshold: Annotated[
        str | None,
        _decide(metavar="T|stored", help="Accept faces from this score on, on the artefact's own scale."),
    ] = None,
    fp32_threshold: Annotated[
        float | None,
        _decide(help="The same as chosen on float32 scores; carried over where the artefact is fp16 or int8."),
    ] = None,
    calibrate: Annotated[
        bool,
        _decide(
            "--calibrate-threshold",
            help="Instead: find the threshold that rejects a --reject of these faces, and keep it.",
        ),
    ] = False,
    reject: Annotated[
        str | None, _decide(metavar="SHARE", help="--calibrate-threshold: share of the faces, as in 5%.")
    ] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    jsonl: Annotated[
        Path | None, _where(help="Write one line of JSON per image to FILE, or '-' for stdout, as results come.")
    ] = None,
    csv: Annotated[Path | None, _where(help="Write one line per face to FILE, or '-' for stdout.")] = None,
    parquet: Annotated[
        str | None,
        _where(metavar="FILE", help="Write one row per image, with its faces, to a Parquet FILE; needs pyarrow."),
    ] = None,
    resume: Annotated[
        bool, _where("--resume", help="Go on from what a run with --csv, --jsonl or --parquet that was cut has left.")
    ] = False,
    quality_file: Annotated[
        list[Path] | None,
        _where(
            metavar="FILE",
            help="Write one score per image for others' evaluation code: .txt (CR-FIQA), .csv or .parquet; "
            "repeat it for several.",
        ),
    ] = None,
    overlay: Annotated[Path | None, _where(help="Folder for annotated copies and score maps.")] = None,
    diagnose: Annotated[
        bool, _check("--diagnose", help="Instead: which mistake explains that the --reference scores differ.")
    ] = False,
    reference: Annotated[
        Path | None, _check(help="--diagnose: scores from elsewhere, CSV with image,score or CR-FIQA's .txt.")
    ] = None,
    selftest: Annotated[bool, _check("--self-test", help="Re-score the card's canaries on this device.")] = False,
    explain: Annotated[
        bool,
        _check(
            "--explain",
            help="Say which backend is used here and why, and with photos which way they are scored; then end.",
        ),
    ] = False,
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Score every face in photos (detect, align, score), or ready crops with --aligned. Higher is better.

    Exit code 0: done. 2: bad input; what could be scored was. 3: the self-test failed.
    """
    precision, method = check_precision(cpu_precision), check_method(align)
    check_options(typed_options(context))
    refuse_streams(paths or [])
    pictures = Pictures(image_column, id_column)
    faces = FaceSettings(detector, _preset(preset), min_confidence, longest_side, method)
    if ray is not None:
        spread = RaySettings(ray, actors, gpus_per_actor, parquet or "", aligned, resume, pictures)
        score_on_ray(
            paths or [], EngineSettings(_used(engine), backend, threads, precision, None, device), faces, spread
        )
        return
    found = _found(paths or [], list_file)
    parquet_file = None if parquet is None else Path(parquet)
    detector_file = None if detector in (None, YUNET, MTCNN) else Path(detector)
    inputs = [
        *(("PATH", file) for file in found.images),
        *(("--detector", detector_file), ("--reference", reference), ("--spec", spec)),
    ]
    outputs = [
        *(("--json", json), ("--jsonl", jsonl), ("--csv", csv), ("--parquet", parquet_file)),
        *(("--quality-file", file) for file in quality_file or []),
    ]
    used = _used(engine)
    check_files(outputs, used, inputs)
    found = _share(found if diagnose else pictures.expand(found), shard)
    files = found.images
    if workers > 1:
        threads = threads_per_stream(workers, threads)
    limit_opencv(threads)
    opened = EngineSettings(used, backend, threads, precision, spec, device)
    if selftest:
        show_self_test(opened, json)
        return
    if explain:
        show_choice(opened, json, files, faces, pictures, (streams, overlap))
        return
    if not files and shard is None:
        raise InputError("nothing to score; name photos, crops or folders of them")
    if reference:
        _diagnose(files, reference, opened, None if aligned else faces, json)
        return
    settings = ScoreSettings(
        *(
            aligned,
            landmarks,
            overlap,
            streams,
            threshold,
            fp32_threshold,
            None if reject is None else read_share(reject),
        ),
        *(json, jsonl, csv, parquet_file),
        *(tuple(quality_file or ()), overlay, resume, Workers(workers, not unordered)),
        pictures=pictures,
    )
    score_images(found, opened, faces, settings)


def _preset(name: str | None) -> PresetName | None:
    return None if name is None else check_preset(name)


def _used(engine: str | None) -> str:
    """The artefact to score with, told where nobody named it."""
    used = engine or str(default_engine())
    if engine is None:
        tell([f"scoring with {used}"])
    return used


def _diagnose(
    images: list[Path], reference: Path, engine: EngineSettings, faces: FaceSettings | None, json: str | None
) -> None:
    from fiqa_runtime.command.diagnose import diagnose_files  # with all hypotheses, which take a while to load

    diagnose_files(images, reference, engine, faces, json)


def _found(paths: list[str], list_file: Path | None) -> Found:
    """The files to score, as they are named and found in folders."""
    found = search_images(paths)
    if list_file is None:
        return found
    return replace(found, images=list(dict.fromkeys([*found.images, *read_list(list_file)])))


def _share(found: Found, shard: str | None) -> Found:
    """The share of this machine; what was passed over in folders is the first one's to tell."""
    if shard is None:
        return found
    number, of = read_shard(shard)
    return Found(share_of(found.images, number, of), found.passed_over if number == 1 else {})


def main() -> None:
    """Entry point of ``fiqa-score``."""
    run(app)


if __name__ == "__main__":
    main()
