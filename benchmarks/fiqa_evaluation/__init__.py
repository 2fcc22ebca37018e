"""From data sets to curves: pairs, embeddings and scores, error versus discard, opinions, distributions, a report.

In use:

    from fiqa_evaluation import Comparisons, edc_curves, pair_distances

    curves = edc_curves(comparisons, quality)              # how recognition errors fall as the worst faces are left out
"""

from fiqa_evaluation.data_set.files import read_embeddings, read_pairs, read_quality
from fiqa_evaluation.discard.comparisons import Comparisons, pair_distances
from fiqa_evaluation.discard.curves import DiscardCurve, cr_fiqa_curves, edc_curves
from fiqa_evaluation.opinions.accuracy import Accuracy, accuracy
from fiqa_evaluation.opinions.labels import read_labels

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
]
