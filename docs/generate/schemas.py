"""JSON Schemas of the card and of the commands' documents, from dataclasses.

    python -m docs.generate        # writes docs/reference/schemas/

The files allow entries that they do not name, since a later version may add some; tests hold real documents against the
closed form, which does not.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from fiqa_runtime.scoring.agreement import NumberOrNaN

from docs.generate.dataclass_docs import fields_of, summary
from docs.generate.documents import DOCUMENTS, Document
from docs.generate.kinds import may_lack
from docs.generate.markdown import table

FOLDER = Path(__file__).parents[1] / "reference" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}


def schema_of(document: Document, closed: bool = False) -> dict[str, Any]:
    """The schema of `document`; `closed`: unknown entries are errors."""
    writer = _Writer(closed, document)
    root = writer.object(document.kind)
    return {
        "$schema": DIALECT,
        "$id": document.file,
        "title": document.title,
        **root,
        "$defs": dict(sorted(writer.definitions.items())),
    }


def schema_text(document: Document) -> str:
    """What the file of the schema holds."""
    return json.dumps(schema_of(document), indent=1) + "\n"


def schema_list() -> str:
    """A table of the schemas, for the site."""
    rows = [
        (f"[`{document.file}`](schemas/{document.file})", document.title, document.command)
        for document in DOCUMENTS.values()
    ]
    return table(("schema", "of", "written by"), rows)


class _Writer:
    """Collects the definitions of the dataclasses that a document consists of."""

    def __init__(self, closed: bool, document: Document) -> None:
        self.closed = closed
        self.document = document
        self.definitions: dict[str, Any] = {}

    def object(self, kind: type) -> dict[str, Any]:
        properties = {}
        for field in fields_of(kind):
            value = self.value(field.kind)
            if (kind, field.name) in self.document.empty_where_none:
                value = {"anyOf": [*self._alternatives(kind, field.name), {"type": "object", "maxProperties": 0}]}
            properties[field.name] = {**value, **({"description": field.text} if field.text else {})}
        required = [field.name for field in fields_of(kind) if field.required or not may_lack(kind)]
        result: dict[str, Any] = {"type": "object", "description": summary(kind), "properties": properties}
        if kind is self.document.kind:
            properties |= self.document.marks
            required = [*self.document.marks, *required]
        return result | {"required": required} | ({"additionalProperties": False} if self.closed else {})

    def _alternatives(self, kind: type, name: str) -> list[dict[str, Any]]:
        return [self.value(each) for each in self.document.empty_where_none[kind, name]]

    def value(self, kind: Any) -> dict[str, Any]:
        origin, arguments = get_origin(kind), get_args(kind)
        if kind is Any:
            return {}
        if kind == NumberOrNaN:
            return self.value(float | None)
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.value(each) for each in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (tuple, list):
            return self._array(arguments)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.value(arguments[1])}
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            if kind.__name__ not in self.definitions:
                self.definitions[kind.__name__] = {}
                self.definitions[kind.__name__] = self.object(kind)
            return {"$ref": f"#/$defs/{kind.__name__}"}
        return dict(SCALARS[kind])

    def _array(self, kinds: tuple[Any, ...]) -> dict[str, Any]:
        if len(kinds) == 1 or kinds[-1] is Ellipsis:
            return {"type": "array", "items": self.value(kinds[0])}
        size = {"minItems": len(kinds), "maxItems": len(kinds)}
        return {"type": "array", "prefixItems": [self.value(kind) for kind in kinds], **size}


def write_schemas() -> None:
    """Write every schema."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for document in DOCUMENTS.values():
        (FOLDER / document.file).write_text(schema_text(document), "utf-8")
