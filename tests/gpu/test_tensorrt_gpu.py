"""Plans on a real NVIDIA GPU: `pytest -m gpu tests/gpu`. README.md beside this file says what only this can prove."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fiqa_export.verdict.parity import compare
from fiqa_export.verdict.recipe import RECIPES
from fiqa_runtime.artefact.card import built_for, card_path, read_card, write_card
from fiqa_runtime.artefact.facts import Budget, Verdict
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends.cuda.driver import Driver, active
from fiqa_runtime.errors import CardError, UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from numpy.typing import NDArray

from tests.help.threads import in_threads

pytestmark = pytest.mark.gpu

Plans = Callable[[str, str], Path]
Images = list[NDArray[np.uint8]]
FLOAT32_SHARE = 1e-4
"""Largest |d| of two float32 GPU computations, as a share of the output's range."""
PARITY_IMAGES = 16
RETURNED = 32 << 20
"""Bytes that the driver may keep for itself over many openings."""


def crops(model: str, count: int, first: int = 0) -> Images:
    spec = MODELS[model].input
    return [seeded_image(first + index, spec.height or 320, spec.width or 320) for index in range(count)]


def torch_outputs(model: str, images: Images) -> dict[str, NDArray[np.float32]]:
    """What the reference gives on the same GPU, in float32 without TF32, image by image."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    from fiqa_export.checkpoints.checkpoint import load_reference
    from fiqa_export.models.inputs import reference_input

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    reference, _ = load_reference(model, "seeded")
    reference = reference.cuda()
    extra = {name: tensor.cuda() for name, tensor in reference.extra_inputs(1).items()}
    results = []
    with torch.inference_mode():
        for image in images:
            outputs = reference.outputs(reference_input([image], reference.spec.input).cuda(), **extra)
            results.append({name: tensor.float().cpu().numpy() for name, tensor in outputs.items()})
    return {name: np.concatenate([each[name] for each in results]) for name in results[0]}


def gpu_budget(parity: Verdict) -> Budget:
    """The card's budget, but for float32 what the order of summation on a GPU may change."""
    budget = parity.budget
    assert budget is not None
    limits = {kind: max(FLOAT32_SHARE, share) for kind, share in budget.max_abs.items()}
    return replace(budget, max_abs=limits)


@pytest.mark.parametrize("precision", RECIPES)
@pytest.mark.parametrize("model", MODELS)
def test_parity_and_canaries(plan: Plans, model: str, precision: str) -> None:
    """Outputs against torch on the same GPU within the card's budget; then the canaries."""
    path = plan(model, precision)
    images = crops(model, PARITY_IMAGES)
    with Scorer(path) as scorer:
        actual = scorer.outputs(images)
        result = self_test(scorer)
        expected = torch_outputs(model, images)
        verdict = compare(by_image(expected), by_image(actual), scorer.card.outputs, gpu_budget(scorer.card.parity))
    assert result.passed, result
    assert verdict.passed, verdict.failures


def by_image(outputs: Mapping[str, NDArray[np.float32]]) -> list[dict[str, NDArray[np.float32]]]:
    count = len(next(iter(outputs.values())))
    return [{name: array[index : index + 1] for name, array in outputs.items()} for index in range(count)]


@pytest.mark.parametrize("model", [name for name, spec in MODELS.items() if any(o.name == "map" for o in spec.outputs)])
def test_maps(plan: Plans, model: str) -> None:
    with Scorer(plan(model, "fp16")) as scorer:
        maps = scorer.map(crops(model, 2 * scorer.card.max_batch + 1))
        spec = scorer.card.input
    assert maps.shape[1:] == (spec.height, spec.width)
    assert np.isfinite(maps).all()
    assert maps.std() > 0


@pytest.mark.parametrize("model", ["ediffiqa-t", "ifqa", "dsl-fiqa"])
def test_batch_sweep(plan: Plans, model: str) -> None:
    """Any number of images at once, split or not, gives what each gives alone."""
    path = plan(model, "fp32")
    with Scorer(path) as scorer:
        largest = built_for(scorer.card).profile[scorer.card.input.name].max[0]
        images = crops(model, 2 * largest + 3)
        alone = [scorer.outputs([image]) for image in images]
        span = scorer.card.parity.range
        parts = list(scorer.batches(images))
        inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for count in sorted({1, 2, 3, largest - 1, largest, largest + 1, 2 * largest, 2 * largest + 3} - {0}):
            results = scorer.backend.run({name: array[:count] for name, array in inputs.items()})
            for name, array in results.items():
                expected = np.concatenate([outputs[name] for outputs in alone[:count]])
                assert np.abs(array - expected).max() <= FLOAT32_SHARE * span[name], (count, name)


def test_one_scorer_in_several_threads(plan: Plans) -> None:
    with Scorer(plan("ediffiqa-t", "fp16")) as scorer:
        images = [crops("ediffiqa-t", 40, 100 * index) for index in range(4)]
        expected = [scorer.score(each) for each in images]

        def work(index: int) -> None:
            for _ in range(20):
                np.testing.assert_array_equal(scorer.score(images[index]), expected[index])

        assert in_threads(4, work) == []


def test_a_scorer_in_each_thread(plan: Plans) -> None:
    path = plan("ediffiqa-t", "fp16")
    images = crops("ediffiqa-t", 40)
    with Scorer(path) as scorer:
        expected = scorer.score(images)

    def work(_: int) -> None:
        for _ in range(3):
            with Scorer(path) as own:
                np.testing.assert_array_equal(own.score(images), expected)

    assert in_threads(4, work) == []


@pytest.mark.parametrize("how", ["close", "garbage collection", "another thread"])
def test_memory_is_returned(plan: Plans, driver: Driver, how: str) -> None:
    path = plan("ediffiqa-t", "fp16")

    def use() -> None:
        scorer = Scorer(path)
        scorer.score(crops("ediffiqa-t", 40))
        if how == "close":
            scorer.close()
        elif how == "another thread":
            assert in_threads(1, lambda _: scorer.close()) == []

    def free() -> int:
        gc.collect()
        with active(driver):
            return driver.free_memory()

    use()
    before = free()
    for _ in range(20):
        use()
    assert before - free() < RETURNED


@contextmanager
def only_free(driver: Driver, left: int) -> Iterator[None]:
    """All of the GPU's memory taken, but for about `left` bytes."""
    with active(driver), ExitStack() as stack:
        size = driver.free_memory() - left
        while size > 1 << 20 and driver.free_memory() > left:
            try:
                block = driver.device_block(size)
            except driver.memory_error:
                size //= 2
            else:
                stack.callback(block.free)
                size = min(size, max(driver.free_memory() - left, 1))
        yield


def test_too_little_memory_is_one_line(plan: Plans, driver: Driver) -> None:
    if driver.gpu.integrated:
        pytest.skip("taking all memory of an integrated GPU takes the system's")
    path = plan("ifqa", "fp16")
    with only_free(driver, 24 << 20), pytest.raises(UnsupportedError) as caught:
        Scorer(path)
    assert "MiB wanted" in str(caught.value)
    assert "\n" not in str(caught.value)
    with Scorer(path) as scorer:
        assert self_test(scorer).passed


def test_cuda_python_gives_the_same(plan: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (importlib.util.find_spec("pycuda") and importlib.util.find_spec("cuda")):
        pytest.skip("needs both pycuda and cuda-python")
    path = plan("ifqa", "fp16")
    images = crops("ifqa", 20)
    with Scorer(path) as first:
        expected = first.outputs(images)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with Scorer(path) as second:
        assert second.backend.info["memory"].startswith("cuda-python")
        for name, array in second.outputs(images).items():
            np.testing.assert_array_equal(array, expected[name])


def test_damaged_and_foreign_plans(plan: Plans, tmp_path: Path) -> None:
    source = plan("ediffiqa-t", "fp16")
    path = tmp_path / source.name
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    card_path(path).write_bytes(card_path(source).read_bytes())
    with pytest.raises(CardError, match="SHA-256 differs"):
        Scorer(path)
    path.write_bytes(source.read_bytes())
    card = read_card(path)
    write_card(replace(card, plan=replace(built_for(card), version="10.3.0.1")), path)
    with pytest.raises(UnsupportedError, match="build it again here: fiqa-export ediffiqa-t --fp16"):
        Scorer(path)


def test_torch_in_the_same_process(plan: Plans) -> None:
    """torch and the backend share the primary context: neither disturbs the other."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    left = torch.randn(512, 512, device="cuda")
    product = (left @ left).cpu()
    with Scorer(plan("ediffiqa-t", "fp16")) as scorer:
        scores = scorer.score(crops("ediffiqa-t", 8))
        assert torch.equal((left @ left).cpu(), product)
        np.testing.assert_array_equal(scorer.score(crops("ediffiqa-t", 8)), scores)
    assert torch.equal((left @ left).cpu(), product)


def test_the_end_of_the_process_is_silent(plan: Plans) -> None:
    """A scorer that nobody closed: exit code 0, nothing on stderr."""
    code = (
        "import sys; from fiqa_runtime.scoring.scorer import Scorer\n"
        "from fiqa_runtime.images.seeded import seeded_image\n"
        "scorer = Scorer(sys.argv[1]); print(scorer.score([seeded_image(0, 112, 112)])[0])"
    )
    command = [sys.executable, "-c", code, str(plan("ediffiqa-t", "fp16"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert result.stderr == ""
    assert np.isfinite(float(result.stdout))


def test_benchmark_of_a_plan(plan: Plans, tmp_path: Path) -> None:
    path = plan("ediffiqa-t", "fp16")
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "fiqa_benchmarks.cli", "--engine", str(path), "--batch", "1,8,64", "--rounds", "3"]
    subprocess.run(
        [*command, "--against", "torch,torch-compile,torch-cuda-graph", "--json", str(out)],
        check=True,
        capture_output=True,
    )
    document = json.loads(out.read_text(encoding="utf-8"))
    assert "tensorrt" in json.dumps(document)
    assert set(document["ratios"]) == {"torch", "torch-compile", "torch-cuda-graph"}
