"""Whose mistake is it: hypotheses on how scores of others were made, tried one by one."""
