"""The walls of the house: who may import whom, and what a base install must be enough for."""

from __future__ import annotations

import ast
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "fiqa_runtime": ROOT / "runtime/fiqa_runtime",
    "fiqa_calibration": ROOT / "calibration/fiqa_calibration",
    "fiqa_export": ROOT / "export/fiqa_export",
    "fiqa_benchmarks": ROOT / "benchmarks/fiqa_benchmarks",
}
MAY_IMPORT = {
    "fiqa_runtime": set(),
    "fiqa_calibration": {"fiqa_runtime"},
    "fiqa_export": {"fiqa_runtime", "fiqa_calibration"},
    "fiqa_benchmarks": {"fiqa_runtime", "fiqa_calibration"},
}
# The ways from benchmarks to export: torch peers and the forms of graphs that are compared, inside functions.
EXPORT_INSIDE_FUNCTIONS = {"fiqa_benchmarks": {"peers.py", "plain_export.py", "graph_variants.py", "dsl_variants.py"}}
# Where a package beside numpy and cv2 may be imported at module level in the runtime.
RUNTIME_TOP_LEVEL = {
    "cli.py": {"typer", "rich"},
    "console.py": {"typer", "rich"},
    "backends/onnxruntime.py": {"onnxruntime"},
    "backends/openvino.py": {"openvino"},
    "backends/tensorrt.py": set(),
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
    "fiqa-bench": "fiqa_benchmarks.cli",
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


@pytest.mark.parametrize("package", PACKAGES)
def test_direction_of_imports(package: str) -> None:
    wrong = []
    for path in sources(package):
        tree = ast.parse(path.read_text())
        allowed = MAY_IMPORT[package] | {package}
        if path.name in EXPORT_INSIDE_FUNCTIONS.get(package, set()):
            assert "fiqa_export" not in module_level_imports(tree)
            allowed = allowed | {"fiqa_export"}
        wrong += [(path.name, name) for name in imports(tree) & set(PACKAGES) if name not in allowed]
    assert not wrong


def test_runtime_imports_numpy_and_cv2_only() -> None:
    wrong = {}
    for path in sources("fiqa_runtime"):
        allowed = set(sys.stdlib_module_names) | {"numpy", "cv2", "fiqa_runtime"}
        allowed |= RUNTIME_TOP_LEVEL.get(path.relative_to(PACKAGES["fiqa_runtime"]).as_posix(), set())
        if extra := module_level_imports(ast.parse(path.read_text())) - allowed:
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
           "fiqa_benchmarks", "_typeshed", "sitecustomize"}}
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


@pytest.mark.slow
def test_help_in_a_fresh_base_install(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin/python"
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run(install, check=True, capture_output=True)
    for command in COMMANDS:
        result = subprocess.run([tmp_path / "bin" / command, "--help"], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    listing = subprocess.run([tmp_path / "bin/fiqa-export", "--list"], capture_output=True, text=True)
    assert "CC BY-NC 4.0" in listing.stdout
    refused = subprocess.run([tmp_path / "bin/fiqa-export", "ediffiqa-t"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "fiqa-edge[export]" in refused.stderr
