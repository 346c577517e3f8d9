"""The public names, and which modules can be loaded without Beam."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import transforms

ROOT = Path(transforms.__file__).parent

NEED_BEAM = ("apache_beam", "transforms.collections", "transforms.files", "transforms.publishing")


def test_every_public_name_is_there():
    for name in transforms.__all__:
        assert getattr(transforms, name).__name__ == name


def test_a_type_checker_sees_the_names_that_are_loaded():
    block = next(node for node in ast.parse(source("__init__.py")).body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert seen == transforms._MODULE_OF


def test_the_pure_modules_need_no_beam():
    """Those of which no import says that they need it."""
    pure = [
        module
        for module, path in modules()
        if not module.startswith(NEED_BEAM)
        and not any(name.startswith(NEED_BEAM) for name in imports(source(path)))
    ]
    assert {"transforms.folding.shard", "transforms.policy", "transforms.batches"} < set(pure)
    code = f"""
import importlib, sys
for module in {pure}:
    importlib.import_module(module)
    assert "apache_beam" not in sys.modules, module
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT)
        parts = place.with_suffix("").parts
        yield ".".join(("transforms", *parts)).removesuffix(".__init__"), str(place)


def source(path: str) -> str:
    return (ROOT / path).read_text()


def imports(code: str) -> Iterator[str]:
    """The modules that a module imports, in functions too, but not for a type checker alone."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
