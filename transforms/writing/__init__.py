"""Metrics to rows, to files and tables, staged."""
