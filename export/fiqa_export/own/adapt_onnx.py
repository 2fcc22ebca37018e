"""A user's ONNX file -> the form of our artefacts: one float32 input (batch, 3, H, W), the outputs of the network file,
a batch that is free where the graph allows it, and at least opset 20."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from fiqa_runtime.errors import UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.networks.network_file import OutputTable
from fiqa_runtime.onnx_bytes.data_file import data_file
from onnx import TensorProto, helper, numpy_helper, version_converter

from fiqa_export.graph.activation_passes import hard_sigmoid_as_clip
from fiqa_export.graph.loading import LARGEST_FILE
from fiqa_export.graph.to_onnx import OPSET
from fiqa_export.models.inputs import reference_input
from fiqa_export.own.onnx_reference import OnnxReference, model_of

FIXED_BATCH = (
    "the batch of the graph it was made from is fixed to one and could not be freed: faces are scored one by one"
)


def adapt_onnx(reference: OnnxReference, path: Path) -> bool:
    """Write the file of `reference` to `path` as an artefact of ours; returns whether its batch is free.

    Raises UnsupportedError where the graph cannot be brought to the opset.
    """
    for free in (True, False):
        model = _raised(model_of(reference.path), reference.path)
        del model.metadata_props[:]
        _take_input(model, reference, free)
        _give_outputs(model, reference.outputs_of, reference.tables, free)
        if free:
            _free_reshapes(model)
        _save(_for_every_runtime(model), path)
        if not free or _gives_the_same(reference, path):
            return free
    raise AssertionError


def _for_every_runtime(model: onnx.ModelProto) -> onnx.ModelProto:
    rewritten = ir.from_proto(model)
    hard_sigmoid_as_clip(rewritten)
    return ir.to_proto(rewritten)


def _raised(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset >= OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # of the converter, which is C++ and raises what it likes
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedError(
            f"{path} is of opset {opset} and cannot be raised to {OPSET} ({reason}); export it anew with opset {OPSET}"
        ) from error


def _take_input(model: onnx.ModelProto, reference: OnnxReference, free: bool) -> None:
    """Put what the file wants of its input into the graph: the order of its axes, and its type."""
    graph, spec = model.graph, reference.spec.input
    initialisers = {tensor.name for tensor in graph.initializer}
    (old,) = (value for value in graph.input if value.name not in initialisers)
    half = old.type.tensor_type.elem_type == TensorProto.FLOAT16
    steps = ([("Transpose", {"perm": [0, 2, 3, 1]})] if reference.channels_last else []) + (
        [("Cast", {"to": TensorProto.FLOAT16})] if half else []
    )
    steps = steps or [("Identity", {})]
    name, nodes = "fiqa_input", []
    for index, (operator, attributes) in enumerate(steps):
        result = old.name if index == len(steps) - 1 else f"fiqa_input/{operator}"
        nodes.append(helper.make_node(operator, [name], [result], f"fiqa_input/{operator}", **attributes))
        name = result
    shape = ["batch" if free else 1, 3, spec.height, spec.width]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("fiqa_input", TensorProto.FLOAT, shape))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    del graph.value_info[:]
    _rename(graph, "fiqa_input", spec.name)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Call the graph's input `new`; a value of that name inside gets another one."""
    for node in graph.node:
        node.input[:] = [f"{new}/theirs" if name == new else name for name in node.input]
        node.output[:] = [f"{new}/theirs" if name == new else name for name in node.output]
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    graph.input[0].name = new


def _give_outputs(model: onnx.ModelProto, theirs: dict[str, str], tables: tuple[OutputTable, ...], free: bool) -> None:
    graph = model.graph
    taken = {table.name for table in tables}
    for node in graph.node:
        node.input[:] = [f"{name}/theirs" if name in taken else name for name in node.input]
        node.output[:] = [f"{name}/theirs" if name in taken else name for name in node.output]
    del graph.output[:]
    for table in tables:
        source = theirs[table.name]
        source = f"{source}/theirs" if source in taken else source
        graph.node.append(helper.make_node("Cast", [source], [f"{table.name}/float"], to=TensorProto.FLOAT))
        _reduce(graph, table, f"{table.name}/float")
        batch: list[str | int | None] = ["batch" if free else 1]
        sides: list[str | int | None] = {"score": [1], "embedding": [None], "map": [1, None, None]}[table.kind]  # type: ignore[assignment]
        graph.output.append(helper.make_tensor_value_info(table.name, TensorProto.FLOAT, batch + sides))


def _reduce(graph: onnx.GraphProto, table: OutputTable, value: str) -> None:
    """Nodes that make the output of `table` from `value`."""

    def constant(name: str, array: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(array, f"{table.name}/{name}"))
        return f"{table.name}/{name}"

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], f"{table.name}/{operator}", **attributes))
        return output

    one = constant("axis", np.array([1], np.int64))
    if table.reduce in ("mean", "l2-norm", "expectation"):
        flat = node("Flatten", [value], f"{table.name}/flat", axis=1)
        if table.reduce == "expectation":
            assert table.bins is not None
            node("MatMul", [flat, constant("bins", np.array(table.bins, np.float32)[:, None])], table.name)
            return
        node("ReduceMean" if table.reduce == "mean" else "ReduceL2", [flat, one], table.name, keepdims=1)
        return
    if table.kind == "score":
        value = node("Reshape", [value, constant("shape", np.array([-1, 1], np.int64))], f"{table.name}/column")
    if table.reduce == "negate":
        node("Neg", [value], table.name)
    elif table.reduce == "one-minus":
        node("Sub", [constant("one", np.array(1, np.float32)), value], table.name)
    else:
        node("Identity", [value], table.name)


def _free_reshapes(model: onnx.ModelProto) -> None:
    """Let constant targets that begin with a batch of one copy the batch of what is reshaped."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "Constant"}
    for number, node in enumerate(model.graph.node):
        if node.op_type != "Reshape" or node.name.startswith("fiqa"):
            continue
        tensor = constants.get(node.input[1])
        if tensor is None and node.input[1] in made:
            tensor = next((a.t for a in made[node.input[1]].attribute if a.name == "value"), None)
        if tensor is None:
            continue
        target = numpy_helper.to_array(tensor).copy()
        if len(target) > 1 and target[0] == 1:
            target[0] = 0
            name = f"fiqa/target{number}"
            model.graph.initializer.append(numpy_helper.from_array(target, name))
            node.input[1] = name


def _save(model: onnx.ModelProto, path: Path) -> None:
    data = data_file(path)
    data.unlink(missing_ok=True)
    beside = sum(tensor.ByteSize() for tensor in model.graph.initializer) > LARGEST_FILE
    onnx.save(model, str(path), save_as_external_data=beside, location=data.name if beside else None)
    onnx.checker.check_model(str(path))


def _gives_the_same(reference: OnnxReference, path: Path) -> bool:
    """Whether two images at once give what each gives alone."""
    spec = reference.spec.input
    assert spec.height is not None and spec.width is not None
    images = reference_input([seeded_image(index, spec.height, spec.width) for index in range(2)], spec)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        together = session.run([table.name for table in reference.tables], {spec.name: images.numpy()})
    except Exception:  # a graph whose batch is not free fails in as many ways as it has nodes
        return False
    alone = reference.outputs(images)
    for table, values in zip(reference.tables, together, strict=True):
        wanted = alone[table.name].numpy()
        if values.shape != wanted.shape:
            return False
        span = float(np.ptp(wanted)) or 1.0
        if not np.abs(values - wanted).max() <= 1e-3 * span:
            return False
    return True
