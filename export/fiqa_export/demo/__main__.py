"""``python -m fiqa_export.demo``: exports, proves, finds and scores, and leaves a page. It says what it substitutes."""

from __future__ import annotations

from pathlib import Path

import typer
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.terminal.console import run, stderr
from fiqa_runtime.terminal.outputs import check_output_folder, write_json

from fiqa_export.demo.next_steps import commands_to_try
from fiqa_export.demo.page import write_page
from fiqa_export.demo.photos import write_group_picture, write_sample_photos
from fiqa_export.demo.scores import THRESHOLD, ladders_of, score_photos
from fiqa_export.demo.steps import export_network, open_detector, say, side_by_side

OUT = Path("demo")
app = typer.Typer(add_completion=False)


@app.command()
def demo() -> None:
    """Export eDifFIQA(T), find and score faces in sample photos, and write it all on one page, demo/index.html."""
    check_output_folder(OUT)
    engines, photos = OUT / "engines", OUT / "photos"
    exported = export_network(engines)
    fp32 = exported[0]
    detector = open_detector(engines)
    with Scorer(fp32.path, "onnxruntime") as scorer:
        quality = FaceQuality(scorer, detector)
        files = write_sample_photos(photos)
        files.append(write_group_picture(files, quality, photos / "group.png"))
        say("finding and scoring the faces of", ", ".join(file.name for file in files))
        pictures = score_photos(files, quality)
        ladders = ladders_of(files[0], quality)
    backends = side_by_side(exported)
    commands = commands_to_try(fp32.path, photos, OUT)
    faces = [face for picture in pictures for face in picture.faces]
    write_json(
        {
            "engine": fp32.path,
            "weights": fp32.card.weights.description,
            "detector": quality.settings,
            "parity": fp32.card.as_json()["parity"],
            "photos": [picture.as_json() for picture in pictures],
            "backends": [row.as_json() for row in backends],
        },
        str(OUT / "summary.json"),
    )
    write_page(OUT / "index.html", exported, quality.settings, pictures, ladders, backends, commands)
    below = sum(face.quality < THRESHOLD for face in faces)
    typer.echo(f"{len(faces)} faces in {len(files)} photos, {below} below {THRESHOLD}")
    typer.echo(f"page      {OUT / 'index.html'}")
    for command in commands:
        typer.echo(f"try next  {command.line}")
    if fp32.card.weights.kind == "standin":
        stderr.print("[yellow]the scores come from stand-in weights: not a published model and not for production[/]")


if __name__ == "__main__":
    run(app)
