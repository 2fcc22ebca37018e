"""Checkpoints load safely and strictly, and nothing but `--weights seeded` gives seeded weights."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fiqa_export.checkpoint import load_reference
from fiqa_export.models import build
from fiqa_export.seeded import load_seeded, seeded_image, seeded_tensor
from fiqa_export.tensors import network_input
from fiqa_runtime import zoo
from fiqa_runtime.errors import CheckpointError, FetchError, InputError
from fiqa_runtime.fetch import sha256_of
from torch import Tensor

State = dict[str, Tensor]
T = "ediffiqa-t"
QUICK = ("ediffiqa-t", "ediffiqa-s", "yunet-s", "yunet-n")
SAME_FILES = ("dsl-fiqa-visible", "facexformer-512")
"""Other graphs of a checkpoint that its first network covers."""
NETWORKS = [
    pytest.param(n, marks=() if n in QUICK else pytest.mark.slow)
    for n in zoo.MODELS
    if n not in ("ifqa-plus", *SAME_FILES)
]


@pytest.fixture(scope="session")
def seeded_state() -> State:
    return load_seeded(build(T)).state_dict()


@pytest.fixture
def state(seeded_state: State) -> State:
    """A state dict of eDifFIQA(T) in the authors' layout, to be spoilt at will."""
    return dict(seeded_state)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.pth"


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


def message(path: Path, name: str = T) -> str:
    """What loading `path` is refused with: one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        load_reference(name, str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path} cannot be used for {name}: ")
    return text


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
    x = network_input([seeded_image(0, 112, 112)], saved.spec.input)
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
        assert (info.kind, info.files, info.seed) == ("official", {"ediffiqaT.pth": digest}, None)
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


def test_counters_may_be_missing_only_where_the_zoo_says_so(
    state: State, path: Path, published: Callable[..., None]
) -> None:
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    assert "50 missing: base_model.conv1.bn.num_batches_tracked, " in message(path)
    published(may_miss=("*.num_batches_tracked",))
    model, info = load_reference(T, str(path))
    assert model.state_dict()["base_model.bn.num_batches_tracked"] == 0
    assert len(info.notes) == 1
    assert "50 entries absent, recomputed or without effect: base_model.conv1.bn." in info.notes[0]


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


class Malice:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


@pytest.mark.parametrize("new_format", [True, False])
def test_pickle_that_would_run_code_is_refused(new_format: bool, state: State, path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({**state, "extra": Malice(trace)}, path, _use_new_zipfile_serialization=new_format)
    text = message(path)
    assert not trace.exists()
    assert "loading it would run code (posix.system)" in text
    assert "save only its tensors: torch.save(model.state_dict(), FILE)" in text
    torch.load(path, weights_only=False)
    assert trace.exists(), "the file is as dangerous as the test says"


def test_plain_pickle_that_would_run_code_is_refused(
    path: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    trace = tmp_path / "trace"
    path.write_bytes(pickle.dumps({"extra": Malice(trace)}))
    assert "damaged or no PyTorch checkpoint" in message(path)
    assert not trace.exists()
    assert not recwarn.list, "one line, without what torch thinks of the pickle protocol"


def test_whole_module_is_refused(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)
    assert "would run code (torch.nn.modules.linear.Linear)" in message(path)


@pytest.mark.parametrize("length", [0, 1, 10, 1000, 3_000_000, -10])
def test_truncated_file(length: int, state: State, path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:length])
    assert "it is damaged or no PyTorch checkpoint; get the file again" in message(path)


@pytest.mark.parametrize(
    "content", [b"hello, world\n", b"<!DOCTYPE html><html></html>", bytes(range(256)) * 20, b"\x08\x07\x12\x07pytorch"]
)
def test_file_that_is_no_checkpoint(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "it is damaged or no PyTorch checkpoint" in message(path)


def test_archive_that_is_no_checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "it is damaged or no PyTorch checkpoint" in message(path)


@pytest.mark.parametrize(
    ("content", "holds"), [([1, 2], "list"), (torch.zeros(3), "Tensor"), ({"epoch": 3}, "epoch"), ({}, "337 missing")]
)
def test_checkpoint_of_something_else(content: object, holds: str, path: Path) -> None:
    torch.save(content, path)
    assert holds in message(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(state: State, path: Path) -> None:
    torch.save(state, path)
    path.chmod(0)
    assert "Permission denied; make it readable" in message(path)


@pytest.mark.parametrize("weights", ["oficial", "gfiqa", "nowhere/file.pth", "seededx"])
def test_unknown_weights_name_what_is_known(weights: str) -> None:
    with pytest.raises(InputError, match="is neither a file nor a weight set of ediffiqa-t") as caught:
        load_reference(T, weights)
    assert str(caught.value).endswith("name a file or one of official, standin, seeded, seeded:N")


def test_unknown_network_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'ediffiqa-t'"):
        load_reference("edifiqa-t", "seeded")


@pytest.mark.parametrize(("weights", "seed"), [("seeded", 0), ("seeded:12", 12)])
def test_seeded_weights_by_name(weights: str, seed: int) -> None:
    model, info = load_reference(T, weights)
    expected = torch.from_numpy(seeded_tensor("mlp.l1.weight", (1024, 512), seed)).float()
    assert torch.equal(model.state_dict()["mlp.l1.weight"], expected)
    assert model.state_dict()["base_model.bn.running_mean"].any(), "calibrated"
    assert (info.kind, info.seed, info.files) == ("seeded", seed, {})
    assert "mean nothing about faces" in info.description


@pytest.mark.parametrize("weights", ["seeded:", "seeded:x", "seeded:-1", "seeded:1.5", "seeded:1:2", "seeded:²"])
def test_seed_that_is_no_number(weights: str) -> None:
    with pytest.raises(InputError, match="names no seed; write seeded or seeded:N"):
        load_reference(T, weights)


def test_absent_weights_are_never_replaced_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: Callable[..., None]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIQA_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    published(url=None)
    with pytest.raises(FetchError) as caught:
        load_reference(T)
    text = str(caught.value)
    assert "get it from https://huggingface.co/LSIbabnikz/eDifFIQA_T and save it as " in text
    assert str(tmp_path / "weights" / "ediffiqaT.pth") in text
    assert text.endswith("--weights standin")


def test_network_of_several_files_needs_their_folder(tmp_path: Path) -> None:
    file = tmp_path / "DE.pt"
    file.touch()
    with pytest.raises(InputError, match=r"needs DE\.pt and IQA\.pt; name the folder"):
        load_reference("dsl-fiqa", str(file))
    with pytest.raises(CheckpointError, match=r"lacks IQA\.pt"):
        load_reference("dsl-fiqa", str(tmp_path))


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
        "import sys; from pathlib import Path; from fiqa_export.checkpoint import load_reference\n"
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
