"""One HTML page that shows a run: tables, curves, ladders, maps and cards."""
