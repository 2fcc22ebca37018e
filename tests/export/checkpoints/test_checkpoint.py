"""Checkpoints load strictly, in the layouts that the authors and their tools write."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.seeded import seeded_image
from fiqa_export.models import build
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.artefact import zoo
from fiqa_runtime.system.files import sha256_of

from tests.help.samples.checkpoints import State, T, message

QUICK = ("ediffiqa-t", "ediffiqa-s", "yunet-s", "yunet-n")
SAME_FILES = ("dsl-fiqa-visible", "facexformer-512")
"""Other graphs of a checkpoint that its first network covers. MTCNN's files have a test file of their own."""
NETWORKS = [
    pytest.param(n, marks=() if n in QUICK else pytest.mark.slow)
    for n in zoo.MODELS
    if n not in ("ifqa-plus", *SAME_FILES, *zoo.GROUPS["mtcnn"])
]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what the zoo says about the checkpoint file of eDifFIQA(T)."""

    def change(**fields: Any) -> None:
        spec = zoo.MODELS[T]
        (checkpoint,) = spec.weights["official"]
        changed = replace(spec, weights={**spec.weights, "official": (replace(checkpoint, **fields),)})
        monkeypatch.setitem(zoo.MODELS, T, changed)

    return change


def authors_files(name: str, golden: Callable[[str], Any]) -> Iterator[tuple[str, State]]:
    """Base name and content of each published file of a network, every entry filled with a number of its own."""
    spec = zoo.MODELS[name]
    parts = ["dsl-fiqa-de", "dsl-fiqa-iqa"] if name == "dsl-fiqa" else [name]
    for checkpoint, part in zip(next(iter(spec.weights.values())), parts, strict=True):
        entries = golden(f"{part}.state")["entries"]
        yield (
            Path(checkpoint.file).name,
            {key: torch.full(shape, i, dtype=getattr(torch, t)) for i, (key, shape, t) in enumerate(entries)},
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_official_layout_loads_strictly(name: str, golden: Callable[[str], Any], tmp_path: Path) -> None:
    checkpoints = next(iter(zoo.MODELS[name].weights.values()))
    expected: State = {}
    for checkpoint, (file, entries) in zip(checkpoints, authors_files(name, golden), strict=True):
        torch.save({checkpoint.key: entries, "epoch": 7} if checkpoint.key else entries, tmp_path / file)
        expected |= {checkpoint.prefix + key: tensor for key, tensor in entries.items()}
    model, info = load_reference(name, str(tmp_path))
    loaded = model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in expected.items())
    assert info.kind == "file"
    assert info.notes == ()
    assert info.files == {file.name: sha256_of(file) for file in tmp_path.iterdir()}
    assert not model.training


def test_loaded_network_scores_as_the_one_that_was_saved(state: State, path: Path) -> None:
    torch.save(state, path)
    saved = build(T)
    saved.load_state_dict(state)
    x = reference_input([seeded_image(0, 112, 112)], saved.spec.input)
    loaded, _ = load_reference(T, str(path))
    assert torch.equal(loaded.outputs(x)["score"], saved.outputs(x)["score"])


def test_network_is_complete_and_later_ones_are_not_touched(state: State, path: Path) -> None:
    torch.save(state, path)
    model, _ = load_reference(T, str(path))
    assert {t.device.type for t in model.state_dict().values()} == {"cpu"}
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert {p.device.type for p in build(T).parameters()} == {"cpu"}


def test_weight_set_is_found_where_it_was_put(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(tmp_path))
    torch.save(state, tmp_path / "ediffiqaT.pth")
    digest = sha256_of(tmp_path / "ediffiqaT.pth")
    for weights in (None, "official"):
        model, info = load_reference(T, weights)
        assert torch.equal(model.state_dict()["mlp.l1.weight"], state["mlp.l1.weight"])
        assert (info.kind, info.files, info.seed) == ("unverified", {"ediffiqaT.pth": digest}, None)
        assert info.description.startswith("named like the authors' file, not verified: ediffiqaT.pth, SHA-256 ")
        assert digest in info.description
        assert "as published" not in info.description


@pytest.mark.parametrize("size", ["n", "s"])
def test_real_yunet(size: str, weights_dir: Path) -> None:
    file = weights_dir / f"yunet_{size}.pth"
    model, info = load_reference(f"yunet-{size}")
    expected = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    loaded = model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in expected.items())
    assert info.files == {file.name: sha256_of(file)}
    assert info.description.endswith("as published")


@pytest.mark.parametrize("key", ["D", "state_dict", "state_dict_backbone"])
def test_wrapped_layouts(key: str, state: State, path: Path, published: Callable[..., None]) -> None:
    published(key=key)
    optimizer = torch.optim.SGD(build(T).parameters(), 0.1).state_dict()
    torch.save({key: state, "meta": {"epoch": 3, "name": "x"}, "optimizer": optimizer}, path)
    model, _ = load_reference(T, str(path))
    assert torch.equal(model.state_dict()["mlp.l1.weight"], state["mlp.l1.weight"])
    torch.save(state, path)
    load_reference(T, str(path))
    torch.save({"model": state, "epoch": 3}, path)
    assert f"no state dict under '{key}' or at the top but model, epoch" in message(path)


def test_wrapped_where_a_bare_state_dict_is_published(state: State, path: Path) -> None:
    torch.save({"state_dict": state}, path)
    assert "no state dict at the top but state_dict; save model.state_dict()" in message(path)


def test_uniform_module_prefix_is_removed(state: State, path: Path) -> None:
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, path)
    model, info = load_reference(T, str(path))
    assert torch.equal(model.state_dict()["mlp.l1.weight"], state["mlp.l1.weight"])
    assert info.notes == ("file.pth: prefix 'module.' removed from every name",)


def test_partial_module_prefix_is_refused(state: State, path: Path) -> None:
    state["module.mlp.l1.weight"] = state.pop("mlp.l1.weight")
    torch.save(state, path)
    assert "1 missing: mlp.l1.weight; 1 unexpected: module.mlp.l1.weight;" in message(path)


def test_missing_extra_and_misshapen_entries_are_named_and_counted(state: State, path: Path) -> None:
    for key in ("mlp.l1.weight", "mlp.l1.bias", "mlp.l2.weight", "mlp.l2.bias"):
        state[f"head.{key}"] = state.pop(key)
    state["base_model.linear.weight"] = torch.zeros(512, 7)
    torch.save(state, path)
    text = message(path)
    assert "4 missing: mlp.l1.weight, mlp.l1.bias, mlp.l2.weight, ...;" in text
    assert "4 unexpected: head.mlp.l1.weight, head.mlp.l1.bias, head.mlp.l2.weight, ...;" in text
    assert "1 misshapen: base_model.linear.weight (512, 7) instead of (512, 512);" in text
    assert text.endswith("take the checkpoint from https://huggingface.co/LSIbabnikz/eDifFIQA_T")


def test_one_element_does_not_pass_for_a_scalar(state: State, path: Path) -> None:
    state["base_model.bn.num_batches_tracked"] = torch.zeros(1, dtype=torch.int64)
    torch.save(state, path)
    assert "1 misshapen: base_model.bn.num_batches_tracked (1,) instead of ()" in message(path)


def test_entries_without_effect_are_dropped_or_zero(state: State, path: Path, published: Callable[..., None]) -> None:
    published(may_miss=("mlp.l2.*",), may_have=("style_*",))
    del state["mlp.l2.weight"]
    state["style_queue"] = torch.zeros(3, 3)
    torch.save(state, path)
    model, info = load_reference(T, str(path))
    assert torch.equal(model.state_dict()["mlp.l2.weight"], torch.zeros(1, 1024))
    assert torch.equal(model.state_dict()["mlp.l2.bias"], state["mlp.l2.bias"])
    assert [note.split(": ", 1)[1] for note in info.notes] == [
        "1 entries absent, recomputed or without effect: mlp.l2.weight",
        "1 entries dropped, without effect: style_queue",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_value_that_is_not_finite(value: float, state: State, path: Path) -> None:
    state["mlp.l1.bias"] = state["mlp.l1.bias"].clone().index_fill(0, torch.tensor([1023]), value)
    torch.save(state, path)
    assert "mlp.l1.bias holds values that are not finite" in message(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, state: State, path: Path) -> None:
    stored = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    torch.save(stored, path)
    model, info = load_reference(T, str(path))
    loaded = model.state_dict()
    assert all(loaded[key].dtype == tensor.dtype for key, tensor in state.items())
    assert torch.equal(loaded["mlp.l1.weight"], stored["mlp.l1.weight"].float())
    assert info.notes == (f"file.pth: converted from {str(dtype)[6:]}",)


def test_float64_beyond_the_range_of_float32_is_refused(state: State, path: Path) -> None:
    state["mlp.l1.bias"] = torch.full((1024,), 1e300, dtype=torch.float64)
    torch.save(state, path)
    assert "mlp.l1.bias holds values that are not finite" in message(path)


def test_memory_layout_and_parameter_objects_do_not_matter(state: State, path: Path) -> None:
    key = "base_model.conv1.conv.weight"
    stored = state | {key: torch.nn.Parameter(state[key].contiguous(memory_format=torch.channels_last))}
    stored["base_model.conv1.bn.running_mean"] = torch.nn.Parameter(state["base_model.conv1.bn.running_mean"])
    torch.save(stored, path)
    model, _ = load_reference(T, str(path))
    assert torch.equal(model.state_dict()[key], state[key])
    assert model.state_dict()[key].is_contiguous()
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in build(T).named_parameters()]


def test_old_file_format_loads(state: State, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    model, _ = load_reference(T, str(path))
    assert torch.equal(model.state_dict()["mlp.l1.weight"], state["mlp.l1.weight"])


@pytest.mark.slow
def test_dsl_fiqa_without_what_never_reaches_the_score(golden: Callable[[str], Any], tmp_path: Path) -> None:
    for file, entries in authors_files("dsl-fiqa", golden):
        spare = ("vit.blocks.10.", "vit.norm.", "testmlp.", "mlp.")
        derived = ("relative_position_index", "attn_mask", "num_batches_tracked", "task_query")
        kept = {k: v for k, v in entries.items() if not (k.startswith(spare) or k.endswith(derived))}
        torch.save(kept | ({"style_queue": torch.zeros(4, 4)} if file == "IQA.pt" else {}), tmp_path / file)
    loaded = load_reference("dsl-fiqa", str(tmp_path))[0].state_dict()
    own = build("dsl-fiqa").state_dict()
    recomputed = [key for key in own if key.endswith(("relative_position_index", "attn_mask"))]
    assert len(recomputed) == 12
    assert all(torch.equal(loaded[key], own[key]) for key in recomputed)
    assert not loaded["iqa.vit.blocks.10.mlp.fc1.weight"].any()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_largest_network_is_in_memory_once(golden: Callable[[str], Any], path: Path) -> None:
    ((_, entries),) = authors_files("ifqa-plus", golden)
    size = sum(tensor.nbytes for tensor in entries.values())
    torch.save({"D": entries}, path)
    del entries
    script = (
        "import sys; from pathlib import Path; from fiqa_export.checkpoints.checkpoint import load_reference\n"
        "status = lambda key: int(Path('/proc/self/status').read_text().split(key + ':')[1].split()[0]) * 1024\n"
        "before = status('VmRSS')\n"
        "model, _ = load_reference('ifqa-plus', sys.argv[1])\n"
        "print(status('VmHWM') - before, status('RssAnon'), sum(float(p[(0,) * p.ndim]) for p in model.parameters()))"
    )
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    peak, anonymous, checksum = (float(word) for word in result.stdout.split())
    assert peak < 1.1 * size
    assert anonymous < 0.25 * size
    assert checksum == sum(range(494))
