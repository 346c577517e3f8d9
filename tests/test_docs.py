"""What the documents say is so: generated pages are current, examples in the README run."""

import pathlib
import re
import subprocess
import sys

import pytest

from examples import show
from pipelines import session_metrics
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


def test_picture_of_the_output_is_current(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    command = re.search(r"session_metrics\s+(--messages .*)", makefile)[1].replace("'", "")
    words = command.replace("$(EXAMPLE)", "build/example").split()
    assert session_metrics.main([*words, "--runner", "FnApiRunner"]) == 0
    show.main("build/example")
    said = capsys.readouterr()
    shown = said.err + said.out[: said.out.index("\n\nMSM", said.out.index("MSM"))]
    picture = README[README.index("<!-- example -->") : README.index("<!-- /example -->")]
    assert picture.split("```\n")[1] == "\n".join(map(str.rstrip, shown.splitlines())) + "\n"


def test_example_export_is_what_the_generator_makes(tmp_path):
    generator = ROOT / "examples" / "generate.py"
    subprocess.run([sys.executable, generator, "--output", tmp_path], check=True)
    made, there = (
        {p.relative_to(top): p.read_bytes() for p in top.rglob("*") if p.is_file()}
        for top in (tmp_path, ROOT / "examples" / "export")
    )
    assert made == there


def test_readme_has_every_option():
    flags = {
        flag
        for action in session_metrics._parser()._actions
        for flag in action.option_strings
        if flag not in ("-h", "--help")
    }
    table = README[README.index("## Options") : README.index("### Every night")]
    assert flags == set(re.findall(r"--[a-z_]+", table))


@pytest.mark.parametrize("command", re.findall(r"^session-metrics .*?[^\\]$", README, re.M | re.S))
def test_commands_of_the_readme_are_understood(command):
    words = command.split("#")[0].replace("\\\n", " ").replace("'", "").split()[1:]
    args = session_metrics._parser().parse_args(words)
    assert args.output == "out"
