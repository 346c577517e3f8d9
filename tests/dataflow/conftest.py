"""Fixtures of the tests of Dataflow."""

from tests.support.dataflow import checkout, dataflow, inputs, package, worker  # noqa: F401
