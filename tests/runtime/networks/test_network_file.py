"""The TOML file of an own network: what is read, and one line for everything that is wrong, with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.networks.network_file import read_network, spec_of
from fiqa_runtime.networks.reduction import reduced
from fiqa_runtime.networks.registry import find_network

from tests.help.samples.own_networks import write_network


def test_a_file_becomes_a_spec(tmp_path: Path) -> None:
    spec = spec_of(read_network(write_network(tmp_path)))
    assert (spec.name, spec.licence, spec.task, spec.max_batch) == ("mynet", "MIT", "quality", 32)
    assert (spec.input.height, spec.input.width, spec.input.colour, spec.input.std) == (112, 112, "BGR", (255,) * 3)
    assert [(output.name, output.kind) for output in spec.outputs] == [("quality", "score")]
    assert find_network(str(tmp_path / "net.toml")) == spec


WRONG = {
    "unknown field": ({"licence": 'license = "MIT"'}, ", line 3: license is not known"),
    "wrong type": ({"size": 'size = "112"'}, "line 7: input.size is not a list"),
    "too short": ({"mean": "mean = [0, 0]"}, "line 9: input.mean has 2 entries, not 3"),
    "no number": ({"std": 'std = [255, 255, "x"]'}, "line 10: input.std"),
    "zero": ({"std": "std = [255, 0, 255]"}, "standard deviation of a channel is 0"),
    "another word": ({"kind": 'kind = "skore"'}, "line 14: outputs[0].kind is 'skore', not one of score"),
    "another reduction": ({"reduce": 'reduce = "median"'}, "reduce is 'median', not one of none"),
    "bins missing": ({"reduce": 'reduce = "expectation"'}, "expectation and bins go together"),
    "no reference": ({"torch": ""}, "needs one of torch and onnx"),
    "two references": ({"torch": 'torch = "a.py:b"\nonnx = "c.onnx"'}, "needs one of torch and onnx"),
    "no function": ({"torch": 'torch = "net.py"'}, "torch is written as"),
    "name of ours": ({"name": 'name = "ifqa"'}, "which a network of this project has; choose another one"),
    "alias of ours": ({"name": 'name = "ifqa++"'}, "choose another one"),
    "odd name": ({"name": 'name = "My Net/../x"'}, "write lower-case letters"),
    "framing without crops": ({"framing": 'framing = "photo"'}, "which only networks of this project use"),
    "newer version": ({"name": 'fiqa_network = 2\nname = "mynet"'}, "is of version 2, this fiqa-edge reads 1; upgrade"),
    "no TOML": ({"name": "name = "}, "is not TOML: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, case: str) -> None:
    changes, says = WRONG[case]
    path = write_network(tmp_path, **changes)
    with pytest.raises((InputError, ValueError)) as caught:
        spec_of(read_network(path))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_several_scores_and_equal_names_are_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    second = '\n[[outputs]]\nname = "{}"\nkind = "{}"\n'
    for name, kind, says in (("other", "score", "several scores"), ("quality", "map", "a name of its own")):
        path.write_text(write_network(tmp_path).read_text() + second.format(name, kind))
        with pytest.raises(InputError, match=says):
            read_network(path)


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the spelling"):
        read_network(tmp_path / "nowhere.toml")
    (tmp_path / "net.toml").write_bytes(b"\xff\x00\xfe")
    with pytest.raises(InputError):
        read_network(tmp_path / "net.toml")


def test_reductions() -> None:
    values = np.array([[3.0, 4.0], [0.0, 1.0]], np.float32)
    cases: dict[str, list[float]] = {"mean": [3.5, 0.5], "l2-norm": [5, 1]}
    for reduce, wanted in cases.items():
        np.testing.assert_allclose(reduced(values, reduce, None, "q")[:, 0], wanted)  # type: ignore[arg-type]
    np.testing.assert_allclose(reduced(values, "expectation", (0.0, 2.0), "q")[:, 0], [8, 2])
    np.testing.assert_allclose(reduced(values[:, :1], "negate", None, "q"), [[-3], [0]])
    np.testing.assert_allclose(reduced(values[:, :1], "one-minus", None, "q"), [[-2], [1]])
    with pytest.raises(ArtefactError, match="has 2 bins and not the 3"):
        reduced(values, "expectation", (0.0, 1.0, 2.0), "q")
