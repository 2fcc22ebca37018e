"""A prepared data set: its folder in CR-FIQA's layout, its pairs, templates and persons."""
