"""``python -m docs.generate``: the JSON Schemas and the parts of pages that come from the code, written anew."""

from __future__ import annotations

from docs.generate.parts import fill_pages
from docs.generate.schemas import write_schemas

if __name__ == "__main__":
    write_schemas()
    fill_pages()
