"""fiqa-eval discard on pairs, scores, embeddings and persons that do not fit each other: one line, exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.help.commands import Invoke

DRAWN = ("--bootstrap", "9", "--persons")
BAD: dict[str, tuple[str, tuple[str, ...], str]] = {
    "no impostor pair": ("genuine.txt", ("--embeddings", "e", "--scores", "q.txt"), "has no impostor pair"),
    "no score": ("four.txt", ("--embeddings", "e", "--scores", "q.txt"), "q.txt lacks 1 of 4 images, as 'd'"),
    "no embedding": ("four.txt", ("--embeddings", "e", "--scores", "all.txt"), "cannot read e/d.npy"),
    "not in the archive": ("four.txt", ("--embeddings", "e.npz", "--scores", "all.txt"), "e.npz lacks 1 of 4 images"),
    "embedded twice": ("p.txt", ("--embeddings", "twice.npz", "--scores", "q.txt"), "twice.npz names an image twice"),
    "another length": ("p.txt", ("--embeddings", "mixed", "--scores", "q.txt"), "b.npy has 3 numbers, a.npy 4"),
    "one person": ("p.txt", ("--embeddings", "e", "--scores", "q.txt", *DRAWN, "one.txt"), "are of one person"),
    "two persons": ("p.txt", ("--embeddings", "e", "--scores", "q.txt", *DRAWN, "two.txt"), "line 2: a is two persons"),
    "a person is missing": ("p.txt", ("--embeddings", "e", "--scores", "q.txt", *DRAWN, "few.txt"), "as 'c'"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_disagree(evaluate: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "p.txt": "a b 1\na c 0\n",
        "genuine.txt": "a b 1\na c 1\n",
        "four.txt": "a b 1\na c 0\na d 0\n",
        "q.txt": "a.jpg 1\nb.jpg 2\nc.jpg 3\n",
        "all.txt": "a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 3\n",
        "one.txt": "a x\nb x\nc x\n",
        "two.txt": "a x\na y\nb x\nc y\n",
        "few.txt": "a x\nb x\n",
    }
    for name, text in texts.items():
        Path(name).write_text(text)
    for folder, second in (("e", np.arange(4.0)), ("mixed", np.ones(3))):
        Path(folder).mkdir()
        for image, values in (("a", np.ones(4)), ("b", second), ("c", np.arange(4.0) + 1)):
            np.save(Path(folder, f"{image}.npy"), values)
    np.savez("e.npz", names=["a", "b", "c"], embeddings=np.ones((3, 4)))
    np.savez("twice.npz", names=["a", "b", "a", "c"], embeddings=np.ones((4, 4)))
    pairs, options, part = BAD[case]
    result = evaluate("discard", pairs, *options)
    assert result.is_one_line(part), result
