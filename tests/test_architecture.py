"""The walls of the house: who may import whom, and what a base install must be enough for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.help.places import ROOT

PACKAGES = {
    "fiqa_runtime": ROOT / "runtime/fiqa_runtime",
    "fiqa_calibration": ROOT / "calibration/fiqa_calibration",
    "fiqa_export": ROOT / "export/fiqa_export",
    "fiqa_benchmarks": ROOT / "benchmarks/fiqa_benchmarks",
    "fiqa_evaluation": ROOT / "benchmarks/fiqa_evaluation",
}
MAY_IMPORT = {
    "fiqa_runtime": set(),
    "fiqa_calibration": {"fiqa_runtime"},
    "fiqa_export": {"fiqa_runtime", "fiqa_calibration"},
    "fiqa_benchmarks": {"fiqa_runtime", "fiqa_calibration"},
    "fiqa_evaluation": {"fiqa_runtime", "fiqa_calibration", "fiqa_benchmarks"},
}
ROOMS = {
    "fiqa_runtime": (
        *(
            "entry",
            "__init__",
            "cli",
            "watch_cli",
            "serve_cli",
            "watch_command",
            "ray_command",
            "command",
            "tuning",
            "serve",
        ),
        *("live", "runs", "diagnosis", "rows", "faces"),
        *("scoring", "networks", "backends", "images", "artefact", "terminal", "onnx_bytes", "system", "errors"),
    ),
    "fiqa_export": (
        *("__init__", "cli", "command", "demo", "conformance", "pipeline", "own", "convert", "doctor", "serving"),
        *("int8", "plan", "fp16", "verdict", "onnx_on_torch", "publishing", "checkpoints", "graph", "models"),
    ),
    "fiqa_benchmarks": (
        *(
            "__init__",
            "cli",
            "runs",
            "readme_tables",
            "report",
            "gate",
            "watch",
            "photos",
            "speed",
            "contenders",
        ),
    ),
    "fiqa_evaluation": (
        *("__init__", "cli", "command", "plan", "page", "distributions", "opinions", "scores", "embedding"),
        *("sources", "discard", "data_set"),
    ),
}
"""By package: its rooms (a folder or a file) from the top down. A room imports only rooms that stand behind it."""
FLAT = {"fiqa_calibration"}
"""Packages small enough to have no rooms."""
# Rooms of benchmarks that may import fiqa_export, inside functions: torch peers, and graphs that are compared.
EXPORT_INSIDE_FUNCTIONS = {"contenders", "readme_tables"}
# Where a package beside numpy and cv2 may be imported at module level in the runtime.
RUNTIME_TOP_LEVEL = {
    "cli.py": {"typer"},
    "watch_cli.py": {"typer"},
    "serve_cli.py": {"typer"},
    **{f"serve/{name}.py": {"starlette"} for name in ("application", "gate", "problems")},
    "serve/counters.py": {"prometheus_client"},
    "serve/bodies.py": {"starlette", "python_multipart"},
    "serve/listening.py": {"starlette", "uvicorn"},
    "rows/ray_source.py": {"pyarrow", "ray"},
    "terminal/common_options.py": {"typer"},
    "terminal/console.py": {"typer", "rich"},
    "backends/onnxruntime.py": {"onnxruntime"},
    "backends/openvino.py": {"openvino"},
}
BASE_INSTALL = [
    "numpy",
    "cv2",
    "typer",
    "rich",
    "click",
    "shellingham",
    "markdown_it",
    "mdurl",
    "pygments",
    "typing_extensions",
    "annotated_doc",
]
COMMANDS = {
    "fiqa-export": "fiqa_export.cli",
    "fiqa-score": "fiqa_runtime.cli",
    "fiqa-watch": "fiqa_runtime.watch_cli",
    "fiqa-serve": "fiqa_runtime.serve_cli",
    "fiqa-bench": "fiqa_benchmarks.cli",
    "fiqa-eval": "fiqa_evaluation.cli",
}


def imports(tree: ast.AST) -> set[str]:
    """Top-level names of every package that `tree` imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def module_level_imports(tree: ast.Module) -> set[str]:
    """Like :func:`imports`, without functions and ``if TYPE_CHECKING`` blocks."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imports(ast.Module([node], []))
    return names


def sources(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imported_modules(path: Path, package: str) -> set[str]:
    """Dotted names of the modules of `package` that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else node.module for name in names}
    return {name for name in found if name.split(".")[0] == package}


def is_module(name: str) -> bool:
    package, *rest = name.split(".")
    if package not in PACKAGES:
        return False
    path = PACKAGES[package].joinpath(*rest)
    return path.is_dir() or path.with_suffix(".py").is_file()


def room(path: Path) -> str:
    """Of a file or module path relative to its package."""
    return path.parts[0].removesuffix(".py") if path.parts else "__init__"


@pytest.mark.parametrize("package", PACKAGES)
def test_direction_of_imports(package: str) -> None:
    wrong = []
    for path in sources(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        allowed = MAY_IMPORT[package] | {package}
        if package == "fiqa_benchmarks" and room(path.relative_to(PACKAGES[package])) in EXPORT_INSIDE_FUNCTIONS:
            assert "fiqa_export" not in module_level_imports(tree)
            allowed = allowed | {"fiqa_export"}
        wrong += [(path.name, name) for name in imports(tree) & set(PACKAGES) if name not in allowed]
    assert not wrong


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_rooms_below_them(package: str) -> None:
    order, wrong = ROOMS[package], []
    found = {room(path.relative_to(PACKAGES[package])) for path in sources(package)}
    assert set(order) == found, "every folder and file of a package is a room of the list"
    for path in sources(package):
        here = room(path.relative_to(PACKAGES[package]))
        for module in imported_modules(path, package):
            there = room(Path(*module.split(".")[1:]))
            if order.index(there) < order.index(here):
                wrong.append(f"{path.name} in {here} imports {module}")
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_imports(package: str) -> None:
    """Between files, imports inside functions too: a circle ties its files into one."""
    graph = {}
    for path in sources(package):
        relative = path.relative_to(PACKAGES[package]).with_suffix("")
        name = ".".join((package, *relative.parts)).removesuffix(".__init__")
        graph[name] = imported_modules(path, package) - {name}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("folder", [*PACKAGES.values(), ROOT / "tests"], ids=[*PACKAGES, "tests"])
def test_files_stay_small_and_folders_few(folder: Path) -> None:
    files = sorted(folder.rglob("*.py"))
    long = {path.name: n for path in files if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300}
    assert not long, "a file of more than 300 lines holds two jobs"
    folders = Counter(path.parent for path in files if path.name != "__init__.py")
    crowded = {str(place.relative_to(ROOT)): n for place, n in folders.items() if n > 15}
    assert not crowded, "a folder of more than 15 files wants rooms"


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_fit_a_screen(package: str) -> None:
    """60 lines at most; the parameters of a command, one option a line, do not count."""
    long = {}
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.body[0].lineno + 1
                if lines > 60:
                    long[f"{path.name}:{node.name}"] = lines
    assert not long


def test_runtime_imports_numpy_and_cv2_only() -> None:
    wrong = {}
    for path in sources("fiqa_runtime"):
        allowed = set(sys.stdlib_module_names) | {"numpy", "cv2", "fiqa_runtime"}
        allowed |= RUNTIME_TOP_LEVEL.get(path.relative_to(PACKAGES["fiqa_runtime"]).as_posix(), set())
        if extra := module_level_imports(ast.parse(path.read_text(encoding="utf-8"))) - allowed:
            wrong[path.name] = extra
    assert not wrong


def test_import_fiqa_runtime_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import fiqa_runtime;"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    third_party = set(output.split()) - set(sys.stdlib_module_names) - {"fiqa_runtime"}
    assert third_party <= {"numpy", "cv2"}


@pytest.mark.parametrize("module", COMMANDS.values())
def test_help_needs_the_base_install_only(module: str) -> None:
    code = f"""
import sys
allowed = set(sys.stdlib_module_names) | {{*{BASE_INSTALL!r}, "fiqa_runtime", "fiqa_calibration", "fiqa_export",
           "fiqa_benchmarks", "fiqa_evaluation", "_typeshed", "sitecustomize"}}
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed:
            raise ModuleNotFoundError(f"not in the base install: {{name}}", name=name.split(".")[0])
sys.meta_path.insert(0, Gate())
sys.argv = ["command", "--help"]
import importlib
importlib.import_module({module!r}).main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--help" in result.stdout


def test_no_test_sends_a_signal_to_its_own_process() -> None:
    """Such a signal may come late, when the test is over; then it ends the process that runs all the others.

    Code for other processes is text here, or a function that only they call, which says so by its name.
    """
    sends = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and not function.name.endswith("_in_a_child"):
                sends |= {f"{path.name}:{function.name}" for node in ast.walk(function) if _signals_itself(node)}
    assert not sends


def _signals_itself(node: ast.AST) -> bool:
    text = ast.unparse(node) if isinstance(node, ast.Call) else ""
    return text.startswith(("signal.raise_signal(", "os.kill(os.getpid()", "os.abort(", "signal.pthread_kill("))
