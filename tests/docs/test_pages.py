"""What the pages say is what the code does: commands and options exist, messages are real, Python compiles."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from fiqa_export.command.list_command import commercial_use
from fiqa_runtime.artefact.zoo import MODELS

from docs.generate.commands import COMMANDS, command_reference, subcommands
from docs.generate.documents import DOCUMENTS
from docs.generate.parts import GENERATORS, MARKER, fill
from tests.help.markdown import code_blocks
from tests.help.places import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("*/README.md"))]
FOREIGN = ("No module named 'cv2'", "libGL.so.1", "Target GPU SM 87")
"""Messages of others that Troubleshooting explains."""


def commands(page: Path) -> list[list[str]]:
    """Every command of ours in the code blocks of a page, in words, without what follows a `#` or a pipe."""
    text = page.read_text("utf-8")
    indented = re.findall(r"^    (fiqa-.*)$", text, re.MULTILINE)
    lines = [line for block in code_blocks(text, "", "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [
        shlex.split(line.split(" | ")[0], comments=True) for line in (*lines, *indented) if line.startswith("fiqa-")
    ]


def options_of(name: str, part: str | None = None) -> set[str]:
    """Options of a command, or of one of its subcommands."""
    commands = [command for own, command in subcommands(name).items() if part in (None, own)]
    parameters = [parameter for command in commands for parameter in command.params]
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_options_that_pages_type(page: Path) -> None:
    for name, *words in commands(page):
        part = next((word for word in words if word in subcommands(name)), None)
        known = options_of(name, part) | {"--help", "--version"}
        unknown = {word.split("=")[0] for word in words if word.startswith("--")} - known
        assert not unknown, f"{name} has no {unknown}"


def test_commands_are_found_in_pages() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 40


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_pages_compiles_and_imports(page: Path) -> None:
    for block in code_blocks(page.read_text("utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0].startswith("fiqa_"):
                if str(node.module).endswith(("tinyfiqa", "onnx_reference")):
                    continue
                module = import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_pages_name_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:runtime|export|calibration|benchmarks|tests|examples|docker|weights)/[\w./-]+\.\w+)`",
        page.read_text("utf-8"),
    )
    to_be_written = {"tinyfiqa.py", "onnx_reference.py", "weights/ediffiqaT.pth"}
    missing = [name for name in named if not (ROOT / name).exists() and not {name, Path(name).name} & to_be_written]
    assert not [name for name in missing if "dsl-fiqa" not in name]


def spoken() -> str:
    """Every text constant of the packages, f-strings with `…` for what is put in, as one text."""
    texts = []
    for folder in ("runtime", "calibration", "export", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    texts.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


def test_messages_of_troubleshooting_are_real() -> None:
    """Each part of a message between two `…` stands in the code, in one text."""
    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"^\| `([^|]+)` \|", page, re.MULTILINE)
    known = spoken()
    assert len(messages) > 35
    made_up = [
        message
        for message in messages
        if not any(foreign in message for foreign in FOREIGN)
        and not all(part.strip(" ;:.") in known for part in message.split("…") if len(part.strip()) > 3)
    ]
    assert not made_up


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_option(name: str) -> None:
    text = command_reference(name)
    missing = [option for option in options_of(name) if f"`{option}`" not in text and f"`{option}" not in text]
    assert not [option for option in missing if option.startswith("--")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_parts_that_come_from_the_code_are_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert fill(text) == text, "make docs writes it anew"
    assert len(re.findall("<!-- generate: ", text)) == len(MARKER.findall(text)), "a part has no end"


def test_every_generator_is_used_and_every_network_has_a_page() -> None:
    markers = [found for page in PAGES for found in MARKER.findall(page.read_text("utf-8"))]
    assert {kind for _, kind, _ in markers} == set(GENERATORS)
    generated = "\n".join(GENERATORS[kind](argument) for _, kind, argument in markers if kind == "network")
    assert not [name for name in MODELS if f"`{name}`" not in generated]


def test_every_variable_that_the_packages_read_is_told() -> None:
    page = (DOCS / "reference" / "environment.md").read_text("utf-8")
    read = set()
    for folder in ("runtime", "calibration", "export", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            pattern = r"environ(?:\.get\(|\[)\"(\w+)\"[^=\n]*(?!\s*=\s)$"
            read |= set(re.findall(pattern, path.read_text("utf-8"), re.MULTILINE))
    assert {"FIQA_WEIGHTS_DIR", "XDG_CACHE_HOME"} <= read
    assert not [name for name in read if f"`{name}`" not in page and f"%{name}%" not in page]


def test_commercial_use_is_read_from_the_licence() -> None:
    found = {name: commercial_use(spec.licence) for name, spec in MODELS.items()}
    assert set(found.values()) == {"yes", "no", "unstated"}
    assert all((found[name] == "no") == ("BY-NC" in spec.licence) for name, spec in MODELS.items())
    assert all(found[name] != "yes" for name, spec in MODELS.items() if "none stated" in spec.licence)


def test_every_entry_of_a_document_says_what_it_is() -> None:
    from docs.generate.fields import field_tables

    for document in DOCUMENTS.values():
        assert "| entry | value | meaning |" in field_tables(document.kind)
