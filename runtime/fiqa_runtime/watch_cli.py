"""``fiqa-watch``: a camera or a video -> the best picture of each person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fiqa_runtime.artefact.location import default_engine
from fiqa_runtime.artefact.spec import check_precision
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.devices import DEVICE_HELP, PLAN_BACKEND
from fiqa_runtime.command.options import check_files
from fiqa_runtime.command.settings import MTCNN, YUNET, EngineSettings, FaceSettings
from fiqa_runtime.errors import InputError
from fiqa_runtime.live import find_source
from fiqa_runtime.system.host import check_threads, limit_opencv, threads_per_stream
from fiqa_runtime.terminal.common_options import ENGINE_HELP, Quiet, Verbose, Version, panel
from fiqa_runtime.terminal.console import run, tell
from fiqa_runtime.terminal.options import typed_options
from fiqa_runtime.watch_command import settings as defaults
from fiqa_runtime.watch_command.settings import OutputSettings, ShotSettings, StreamSettings
from fiqa_runtime.watch_command.watch import watch_stream

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
_what, _faces, _best = panel("What is watched"), panel("How faces are found"), panel("Which picture is the best")
_where, _speed = panel("Where it goes"), panel("Speed")
EXAMPLE = (
    "Example: fiqa-watch rtsp://camera/stream --engine ediffiqa-t.fp32.onnx --best-shot shots/ --jsonl events.jsonl"
)
FATAL = "8"
"""What FFmpeg says on stderr by itself: nothing about a frame that it cannot decode, which is counted."""
STAGES = 2
"""Detection and scoring, which run at the same time."""


@app.command(epilog=EXAMPLE)
def watch(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Video file, camera (0), rtsp:// or http:// address, GStreamer pipeline, or - for raw frames.",
        ),
    ],
    engine: Annotated[
        str | None,
        _what(help=ENGINE_HELP),
    ] = None,
    raw: Annotated[
        str | None, _what(metavar="WxH[@FPS]", help="SOURCE -: size of the raw BGR frames, as 1280x720@30.")
    ] = None,
    duration: Annotated[float | None, _what(metavar="SECONDS", help="End after this long.")] = None,
    reconnect: Annotated[
        float,
        _what(metavar="SECONDS", help="How long a lost live source is connected to anew; 0: its end is the end."),
    ] = defaults.RECONNECT,
    detector: Annotated[
        str, _faces(metavar="yunet|mtcnn|FILE", help="What finds the faces, as in fiqa-score.")
    ] = YUNET,
    min_confidence: Annotated[
        float | None, _faces(help="Detections below it are ignored, 0 to 1, as in fiqa-score.")
    ] = None,
    min_size: Annotated[
        float, _faces(metavar="PX", help="Faces with a shorter side below it are followed and not scored.")
    ] = defaults.MIN_SIZE,
    threshold: Annotated[
        str | None,
        _best(metavar="T|stored", help="Show pictures from this score on, on the artefact's own scale."),
    ] = None,
    per_track: Annotated[int, _best(min=1, max=99, help="Pictures kept of each person.")] = 1,
    emit_after: Annotated[
        float | None,
        _best(metavar="SECONDS", help="Tell the best picture this long after a person came, not when they leave."),
    ] = None,
    best_shot: Annotated[Path | None, _where(metavar="DIR", help="Folder for the best pictures, as JPEG.")] = None,
    jsonl: Annotated[
        str | None,
        _where(metavar="FILE|-", help="Append a line of JSON per event to FILE, or write it to stdout for '-'."),
    ] = None,
    json: Annotated[
        str | None, _where(metavar="FILE|-", help="Write one JSON document with the counts at the end.")
    ] = None,
    overlay: Annotated[
        Path | None, _where(metavar="FILE", help="Write a video with the boxes: .mp4, .mov, .avi or .mkv.")
    ] = None,
    show: Annotated[bool, _where("--show", help="Show the boxes in a window; q ends.")] = False,
    webhook: Annotated[
        str | None, _where(metavar="URL", help="POST each best picture as JSON, beside the stream.")
    ] = None,
    metrics: Annotated[
        str | None, _where(metavar="[HOST:]PORT", help="Serve counters for Prometheus at /metrics.")
    ] = None,
    every: Annotated[int, _speed(metavar="N", min=1, help="Faces are looked for in each N-th frame.")] = defaults.EVERY,
    longest_side: Annotated[
        int, _speed(metavar="PX", help="Frames are shrunk to it for detection; less is faster.")
    ] = defaults.LONGEST_SIDE,
    max_fps: Annotated[float | None, _speed(metavar="N", help="Leave out frames that come faster.")] = None,
    backend: Annotated[str, _speed(help=f"auto, {', '.join(ONNX_BACKENDS)} or {PLAN_BACKEND}.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    threads: Annotated[
        int | None, _speed(min=1, help="Threads of detection and of scoring each; default: half of the cores.")
    ] = None,
    cpu_precision: Annotated[
        str, _speed(help="exact: float32. fast: bfloat16 or float16 where the ranking of faces is kept.")
    ] = "exact",
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Follow every face in a stream, and keep the best picture of each person. Higher is better.

    A live source is watched until it ends, --duration is over, or SIGINT (Ctrl-C) or SIGTERM comes: then the people who
    are still there get their best picture too. Without --jsonl - a table with a line per person goes to stdout.

    Exit code 0: done, also after a signal. 2: bad input, or a source that is gone; what was seen before is kept.
    """
    defaults.check_options(typed_options(context))
    defaults.check_positive(duration=duration, max_fps=max_fps, min_size=min_size)
    if not 0 <= reconnect < float("inf"):
        raise InputError(f"--reconnect is {reconnect:g}; give seconds, or 0 to end with the stream")
    check_threads(threads)
    precision = check_precision(cpu_precision)
    found = find_source(source, raw)
    inputs = [("SOURCE", Path(found.where) if found.kind == "file" else None)]
    if detector not in (YUNET, MTCNN):
        inputs.append(("--detector", Path(detector)))
    used = engine or str(default_engine())
    if engine is None:
        tell([f"scoring with {used}"])
    check_files([("--jsonl", jsonl), ("--json", json), ("--overlay", overlay)], used, inputs)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FATAL)
    each = threads or threads_per_stream(STAGES)
    limit_opencv(each)
    watch_stream(
        StreamSettings(source, raw, max_fps, duration, reconnect),
        EngineSettings(used, backend, each, precision, device=device),
        FaceSettings(detector, None, min_confidence, longest_side, "least-squares"),
        ShotSettings(threshold, per_track, min_size, emit_after, every),
        OutputSettings(best_shot, jsonl, json, overlay, show, webhook, metrics),
    )


def main() -> None:
    """Entry point of ``fiqa-watch``."""
    run(app)


if __name__ == "__main__":
    main()
