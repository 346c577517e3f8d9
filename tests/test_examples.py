"""The examples in docstrings: each runs, and what a reader would try has one."""

import doctest
import importlib
from pathlib import Path

import pytest

from transforms.folding.metrics import to_seconds
from transforms.folding.turns import turns_of
from transforms.ids import lengthen
from transforms.policy import Policy, policies

ROOT = Path(__file__).parent.parent

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("pipelines", "schemas", "transforms")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_of(module):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert not failed


@pytest.mark.parametrize(
    "item",
    [Policy, policies, lengthen, to_seconds, turns_of],
    ids=lambda item: item.__name__,
)
def test_has_an_example(item):
    assert ">>> " in item.__doc__
    assert item.__name__ in item.__doc__
