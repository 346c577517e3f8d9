"""Puts staged files in place, all of them or none."""
