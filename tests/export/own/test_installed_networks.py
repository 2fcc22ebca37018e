"""Networks that packages bring join by an entry point: listed, exported by name, tested by the conformance tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fiqa_export.cli import main
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.networks.registry import installed_networks

from tests.help.commands import Invoke, invoker
from tests.help.places import EXAMPLES
from tests.help.samples.own_networks import write_network

OWN = EXAMPLES / "own_networks"


def install(folder: Path, **entries: str) -> None:
    """A package in `folder` with a network, and the metadata that an installer writes."""
    package = folder / "their_networks"
    package.mkdir()
    write_network(package)
    (package / "__init__.py").write_text(
        "from pathlib import Path\nNET = Path(__file__).with_name('net.toml')\ndef net():\n    return NET\nODD = 3\n"
    )
    info = folder / "their_networks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-networks\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[fiqa_edge.networks]", *lines, ""]))


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return invoker(main, capsys, monkeypatch)


@pytest.mark.parametrize("value", ["their_networks:NET", "their_networks:net"])
def test_a_package_brings_a_network(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    install(tmp_path, mynet=value)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)
    assert "mynet" in export("--list").out
    result = export("mynet", "--weights", "seeded", "--target", "none")
    assert result.code == 0, result.err
    assert (tmp_path / "engines" / "mynet.fp32.onnx").is_file()


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"other": "their_networks:NET"}, "called other and its network file mynet; make them equal"),
        ({"mynet": "their_networks:ODD"}, "gives no path of a network file"),
        ({"mynet": "their_networks:GONE"}, "of an installed package fails"),
    ],
)
def test_a_package_that_is_wrong_is_told_and_stops_nobody(
    export: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: dict[str, str], says: str
) -> None:
    install(tmp_path, **entries)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)
    specs, problems = installed_networks()
    assert not specs and says in next(iter(problems.values()))
    listed = export("--list")
    assert listed.code == 0 and says in listed.err and "ediffiqa-t" in listed.out


@pytest.mark.parametrize("name", ["light", "mynet"])
def test_the_conformance_tests_run_on_it(tmp_path: Path, name: str) -> None:
    network = OWN / "light.toml" if name == "light" else write_network(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "fiqa_export.conformance"]
    environment = {**os.environ, "FIQA_NETWORK": str(network)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("example", ["light", "magface"])
def test_the_examples_go_through_the_chain(export: Invoke, tmp_path: Path, example: str) -> None:
    """MagFace's shape by its network file alone; somebody's network of five grades, framed as whole heads."""
    result = export(OWN / f"{example}.toml", "--weights", "seeded", "--target", "none")
    assert result.code == 0, result.err
    card = read_card(next((tmp_path / "engines").glob("*.fp32.onnx")))
    assert card.parity.passed and card.parity.score is not None
    assert card.input.framing == ("ffhq" if example == "light" else "arcface-112")
