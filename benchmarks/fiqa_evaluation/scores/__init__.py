"""Quality scores of a data set, kept from run to run."""
