"""What ``fiqa-score --ray`` does: the same scores, by Ray Data on one machine or many."""
