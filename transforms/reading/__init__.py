"""Bytes and tables to canonical batches and rejects."""
