"""What the models for Triton's python backend use of `triton_python_backend_utils`, which only its server has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class FakeTriton(SimpleNamespace):
    """What the models use of `triton_python_backend_utils`."""

    class TritonModelException(Exception):  # noqa: N818
        pass

    class Tensor:
        def __init__(self, name: str, values: Any) -> None:
            self.name, self.values = name, values

        def as_numpy(self) -> Any:
            return self.values

    class InferenceResponse:
        def __init__(self, tensors: list[Any]) -> None:
            self.found = {tensor.name: tensor.values for tensor in tensors}

    @staticmethod
    def get_input_tensor_by_name(request: dict[str, Any], name: str) -> Any:
        return FakeTriton.Tensor(name, request[name])
