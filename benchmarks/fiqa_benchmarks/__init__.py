"""Latency, memory and agreement of artefacts, and a gate for CI.

In use:

    from fiqa_benchmarks import write_report

    write_report(document, Path("report.html"))            # the document of fiqa-bench --json as one page
"""

from fiqa_benchmarks.report.page import write_report

__all__ = ["write_report"]
