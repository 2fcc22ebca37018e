"""What `fiqa-score` does with files, without the parsing of options."""
