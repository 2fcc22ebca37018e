"""What each subcommand of `fiqa-eval` does, a file per subcommand."""
