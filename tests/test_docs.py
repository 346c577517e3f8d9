"""What the documents say is so: generated pages are current, examples in the README run."""

import pathlib
import re
import subprocess
import sys

import pytest

from pipelines import options
from schemas import markdown

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_schema_page_is_current():
    page = (ROOT / "docs" / "schema.md").read_text("utf-8")
    assert page == "\n".join(markdown.lines()) + "\n"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_of_the_readme_runs(code, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    if "build/answered" in code:
        assert list((tmp_path / "build" / "answered").glob("metrics-*.avro"))


def test_readme_has_every_option():
    flags = {
        flag
        for action in options._parser()._actions
        for flag in action.option_strings
        if flag not in ("-h", "--help")
    }
    table = README[README.index("## Options") : README.index("### Every night")]
    assert flags == set(re.findall(r"--[a-z_]+", table))


@pytest.mark.parametrize("command", re.findall(r"^session-metrics .*?[^\\]$", README, re.M | re.S))
def test_commands_of_the_readme_are_understood(command):
    words = command.split("#")[0].replace("\\\n", " ").replace("'", "").split()[1:]
    args = options._parser().parse_args(words)
    assert args.output == "out"
