"""What `fiqa-export` does: one file for each job, without the parsing of options."""
