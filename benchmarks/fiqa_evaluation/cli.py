"""``fiqa-eval``: from data sets to curves, a subcommand per step."""

from __future__ import annotations

import typer
from fiqa_runtime.terminal.common_options import Version
from fiqa_runtime.terminal.console import run

from fiqa_evaluation.command import discard, distributions, embed, opinions, prepare, score
from fiqa_evaluation.command import run as plan

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False, no_args_is_help=True)
EXAMPLE = "Example: fiqa-eval prepare lfw.bin --out data"


@app.callback(epilog=EXAMPLE)
def command(version: Version = False) -> None:
    """From data sets to curves: crops and pairs, embeddings, quality scores, error versus discard, opinions.

    One step is one subcommand; each goes on where a cut run stopped. Files are in the formats of CR-FIQA's scripts.
    """


for module, step in (
    (prepare, prepare.prepare),
    (embed, embed.embed),
    (score, score.score),
    (discard, discard.discard),
    (opinions, opinions.opinions),
    (distributions, distributions.distributions),
    (plan, plan.run),
):
    app.command(epilog=module.EXAMPLE)(step)


def main() -> None:
    """Entry point of ``fiqa-eval``."""
    run(app)


if __name__ == "__main__":
    main()
