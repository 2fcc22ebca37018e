"""Rows of pictures in, rows of faces out: Arrow tables, for whatever spreads them over processes and machines.

import pyarrow as pa
from fiqa_runtime.rows import FaceRows

rows = FaceRows("engines/ediffiqa-t.fp32.onnx")
rows(pa.table({"id": ["a"], "path": ["a.jpg"]}))        # a table of id, faces, error
"""

from __future__ import annotations

from fiqa_runtime.rows.face_rows import FaceRows
from fiqa_runtime.rows.schema import SPARK_SCHEMA, row_schema

__all__ = ["SPARK_SCHEMA", "FaceRows", "row_schema"]
