"""Latency, agreement with opinions of people, and error versus discard of quality networks.

In use:

    from fiqa_benchmarks import Comparisons, edc_curves, pair_distances

    curves = edc_curves(comparisons, quality)              # how recognition errors fall as the worst faces are left out
"""

from fiqa_benchmarks.discard.comparisons import Comparisons, pair_distances
from fiqa_benchmarks.discard.curves import DiscardCurve, cr_fiqa_curves, edc_curves
from fiqa_benchmarks.discard.files import read_embeddings, read_pairs, read_quality
from fiqa_benchmarks.opinions.accuracy import Accuracy, accuracy
from fiqa_benchmarks.opinions.labels import read_labels
from fiqa_benchmarks.report.page import write_report

__all__ = [
    "Accuracy",
    "Comparisons",
    "DiscardCurve",
    "accuracy",
    "cr_fiqa_curves",
    "edc_curves",
    "pair_distances",
    "read_embeddings",
    "read_labels",
    "read_pairs",
    "read_quality",
    "write_report",
]
