"""Tests with workers in other processes, and on runners that need an installation of their own."""
