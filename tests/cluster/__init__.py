"""Tests with workers in other processes, and on runners that a plain installation lacks."""
