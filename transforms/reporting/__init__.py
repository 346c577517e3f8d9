"""Summaries of sessions to one page."""
