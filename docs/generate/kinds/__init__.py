"""What is in the JSON documents of the commands. An entry with a default here may be missing from a document.

The commands put these documents together from dictionaries; tests hold real documents against the dataclasses here.
Parts that a package keeps as dataclasses of plain values are those dataclasses themselves.
"""

from __future__ import annotations


def may_lack(kind: type) -> bool:
    """Whether documents, and network files and plans of users, leave out entries of the dataclass `kind` that have
    their default; others are written whole."""
    return kind.__module__.startswith((f"{__name__}.", "fiqa_runtime.networks.", "fiqa_evaluation.plan."))
