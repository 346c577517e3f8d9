"""The order of the steps, the length of files, and tests in the mirrored place.

A step is a folder of `transforms`. The modules beside these folders are nouns: every step may import one.
"""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOPS = ("schemas", "transforms", "pipelines")

# Which steps a step imports, in the order in which a message passes them. Every step imports nouns too.
STEPS = {
    "plumbing": (),
    "publishing": (),
    "reading": ("plumbing",),
    "keying": ("plumbing",),
    "reporting": ("plumbing",),
    "folding": ("plumbing", "keying"),
    "writing": ("plumbing", "publishing", "reporting", "folding"),
    "calibrating": ("plumbing", "publishing", "keying", "folding", "writing"),
}

MOST_LINES = 300

# Modules without a test module of their own, and the test module that covers each.
TESTED_ELSEWHERE = {
    # Only types, which every transform's test uses.
    "transforms.collections": "tests/transforms/folding/test_compute.py",
    "transforms.reading.inputs": "tests/transforms/reading/test_read.py",
}


@functools.cache
def modules() -> dict[str, Path]:
    """The file of each module by its name, such as `transforms.folding.turns`."""
    found = {}
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@functools.cache
def imported_by(module: str) -> tuple[str, ...]:
    """The names of the project's modules that a module imports, anywhere in its file."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            # `from package import name`: the name may be a module of the package.
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else base for name in names}
    return tuple(sorted(found & modules().keys()))


def pairs() -> Iterator[tuple[str, str]]:
    """Each module with each module that it imports."""
    for module in modules():
        for imported in imported_by(module):
            yield module, imported


def place_of(module: str) -> str:
    """The step of a module; "nouns" at the root of `transforms`; otherwise the top-level package."""
    top, *inner = module.split(".")
    if top != "transforms":
        return top
    if inner and inner[0] in STEPS:
        return inner[0]
    return "nouns" if inner else "public names"


def allowed(place: str) -> set[str]:
    """The places that the modules of a place import."""
    if place == "schemas":
        return {"schemas"}
    if place == "nouns":
        return {"schemas", "nouns"}
    if place in STEPS:
        return {"schemas", "nouns", place, *STEPS[place]}
    everywhere = {"schemas", "nouns", *STEPS}
    if place == "public names":
        return everywhere
    return {*everywhere, "public names", "pipelines"}


def reason_against(importer: str, imported: str) -> str:
    """The rule that an import breaks, in words; "" if it breaks none."""
    here, there = place_of(importer), place_of(imported)
    if there in allowed(here):
        return ""
    order = ["schemas", "nouns", *STEPS, "public names", "pipelines"]
    if order.index(here) < order.index(there):
        return f"{here} comes before {there}"
    return f"{here} does without {there}"


def test_no_import_of_a_later_step():
    wrong = [
        f"{importer} imports {imported}: {reason}"
        for importer, imported in pairs()
        if (reason := reason_against(importer, imported))
    ]
    assert not wrong, "\n".join(wrong)


def test_reason_against_an_import():
    records = "transforms.writing.records"
    reason = "reading comes before writing"
    assert reason_against("transforms.reading.read", records) == reason
    assert reason_against("transforms.policy", records) == "nouns comes before writing"
    assert reason_against(records, "pipelines.options") == "writing comes before pipelines"
    assert reason_against(records, "transforms.keying.key") == "writing does without keying"
    assert reason_against(records, "transforms") == "writing comes before public names"
    assert reason_against("pipelines.options", records) == ""
    assert reason_against(records, "transforms.policy") == ""


def test_each_allowed_pair_of_steps_is_needed():
    needed = {(place_of(importer), place_of(imported)) for importer, imported in pairs()}
    unused = [
        f"no module of {step} imports one of {other}: take {other} out of its row"
        for step, others in STEPS.items()
        for other in others
        if (step, other) not in needed
    ]
    assert not unused, "\n".join(unused)


def test_each_folder_of_transforms_is_a_step():
    folders = {path.parent.name for path in (ROOT / "transforms").glob("*/__init__.py")}
    assert folders == set(STEPS)


def test_imports_have_no_loop():
    # Takes away the modules that import nothing that is left, again and again.
    left = {module: set(imported_by(module)) - {module} for module in modules()}
    while free := {module for module, imports in left.items() if not imports & left.keys()}:
        left = {module: imports for module, imports in left.items() if module not in free}
    assert {module: sorted(imports & left.keys()) for module, imports in left.items()} == {}


@pytest.mark.parametrize(
    ("module", "is_banned"),
    [
        ("schemas/__init__.py", True),
        ("transforms/policy.py", True),
        ("transforms/publishing/leases.py", True),
        ("transforms/reading/formats/csv.py", True),
        ("transforms/reading/messages.py", True),
        ("transforms/folding/turns.py", True),
        ("transforms/writing/records.py", True),
        ("transforms/reporting/page.py", True),
        ("transforms/folding/compute.py", False),
        ("transforms/plumbing/coders.py", False),
        ("pipelines/session_metrics.py", True),
        ("pipelines/jobs/running.py", False),
        ("tests/test_structure.py", False),
    ],
)
@pytest.mark.parametrize("line", ["import apache_beam as beam", "from apache_beam import io"])
def test_linter_bans_beam_from_pure_modules(module, is_banned, line):
    command = [sys.executable, "-m", "ruff", "check", "--select=TID251", "--stdin-filename", module]
    run = subprocess.run(
        [*command, "-"], input=f"{line}\n", cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, "TID251" in run.stdout) == (int(is_banned), is_banned), run.stdout


def test_files_are_short():
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in modules().values()
    }
    too_long = {path: count for path, count in lines.items() if count > MOST_LINES}
    assert too_long == {}


def test_no_test_module_imports_another():
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [f"{node.module}.{alias.name}" for alias in node.names]
            wrong += [
                f"{path.relative_to(ROOT)} imports {name}"
                for name in imported
                if name.startswith("tests.")
                and any(part.startswith(("test_", "conftest")) for part in name.split(".")[:-1])
            ]
    assert not wrong, "\n".join(wrong)


def mirrored(module: str) -> str:
    """The path of the test module of a module; a package has its test module inside."""
    if module == "transforms":
        return "tests/transforms/test_public_names.py"
    is_package = modules()[module].name == "__init__.py"
    folder, _, name = module.rpartition(".")
    return f"tests/{(module if is_package else folder).replace('.', '/')}/test_{name}.py"


def test_each_module_has_its_tests_in_the_mirrored_place():
    # The docstring of a package is no code.
    has_code = {
        module
        for module, path in modules().items()
        if place_of(module) not in ("schemas", "pipelines")
        and len(ast.parse(path.read_text("utf-8")).body) > 1
    }
    missing = {module for module in has_code if not (ROOT / mirrored(module)).exists()}
    untested = sorted(missing - TESTED_ELSEWHERE.keys())
    assert not untested, "\n".join(untested)
    assert sorted(TESTED_ELSEWHERE.keys() - missing) == []
    for module, place in TESTED_ELSEWHERE.items():
        assert (ROOT / place).exists(), (module, place)


def test_each_test_module_mirrors_a_module():
    wanted = {mirrored(module) for module in modules()}
    found = {p.relative_to(ROOT).as_posix() for p in (ROOT / "tests/transforms").rglob("test_*.py")}
    assert sorted(found - wanted) == []
