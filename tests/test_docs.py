"""The documents: made parts are current, commands and examples run, links lead somewhere."""

import argparse
import csv
import gzip
import pathlib
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from docs import generate
from examples import show
from pipelines import calibration, report, session_metrics
from pipelines.command_line import parse_words
from pipelines.jobs.beam_options import check_values

ROOT = pathlib.Path(__file__).parent.parent
EXPORT = ROOT / "examples" / "export"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(
    page
    for page in [
        *ROOT.glob("*.md"),
        *(
            page
            for top in ("docs", "examples", "benchmarks")
            for page in ROOT.glob(f"{top}/**/*.md")
        ),
    ]
)
JOBS = {
    "session-metrics": session_metrics,
    "session-calibration": calibration,
    "session-report": report,
}


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


# Parts that are made from the code.


@pytest.mark.parametrize("path", generate.documents(), ids=name_of)
def test_document_is_current(path):
    made = generate.documents()[path]
    assert path.read_text("utf-8") == made, "stale: run python -m docs.generate"


def test_every_part_is_in_a_document():
    made = "".join(generate.documents().values())
    assert sorted(re.findall("<!-- made: (.*) -->", made)) == sorted(generate.PARTS)


def small_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--top", nargs="+", metavar="X", default=[], help="where it is, see --depth"
    )
    group = parser.add_argument_group("which: of BigQuery")
    group.add_argument("--depth", choices=["a", "b"], default="a", help="how (default %(default)s)")
    group.add_argument("--place", metavar="DIR|FILE", help="place of it (default next to --top)")
    group.add_argument("--share", metavar="N", default=0.5, help="how much")
    return parser


def test_option_tables():
    assert generate.option_tables(small_parser()) == (
        "| option | value | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `--top` | `X...` | | where it is, see `--depth` |\n"
        "\n"
        "Which: of BigQuery:\n"
        "\n"
        "| option | value | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `--depth` | `a` `b` | `a` | how |\n"
        "| `--place` | `DIR` or `FILE` | next to `--top` | place of it |\n"
        "| `--share` | `N` | `0.5` | how much |\n"
    )


def test_reason_table():
    reasons = {
        "messages": {"malformed": "it is no row", "late": "it is late"},
        "sessions": {"malformed": "it is no row", "late": "its end is late"},
        "summaries": {"malformed": "it is no row", "left_out": "its name is long"},
    }
    assert generate.reason_table(reasons) == (
        "| reason | inputs | of the row |\n"
        "|---|---|---|\n"
        "| `malformed` | messages, sessions | it is no row |\n"
        "| `late` | messages | it is late |\n"
        "| `late` | sessions | its end is late |\n"
    )


def test_only_parts_of_a_document_are_made(monkeypatch):
    monkeypatch.setitem(generate.PARTS, "x", lambda: "made\n")
    text = "before\n<!-- made: x -->\nstale\n<!-- /made -->\nafter\n"
    assert generate.filled(text) == ("before\n<!-- made: x -->\nmade\n<!-- /made -->\nafter\n")
    with pytest.raises(KeyError, match="unheard of"):
        generate.filled("<!-- made: unheard of -->\n<!-- /made -->")


@pytest.mark.parametrize("command", JOBS)
def test_help_of_every_option_fits_the_documents(command):
    """A phrase: no full stop, and nothing that a table's cell or a capital would spoil."""
    for action in JOBS[command].parser()._actions:
        assert action.help and not action.help.endswith("."), action.dest
        assert "|" not in action.help, action.dest
        assert not re.match(r"-|[a-z_]+:", action.help), action.dest


# Commands.


def commands_of(page: pathlib.Path) -> list[str]:
    """The commands in the page's shell code, each in one line, without comments."""
    code = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
    lines = (re.sub(r"\s+#.*", "", line) for line in code.replace("\\\n", " ").splitlines())
    return [line for line in lines if line.strip()]


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """A folder with the files that the README's commands name, made of the example export."""
    sound = [
        row
        for row in csv.reader((EXPORT / "conversation_entries.csv").open(encoding="utf-8"))
        if row[1] and row[3] != "Robot" and row[5] != "yesterday"
    ]
    for folder in ("export", "log"):
        (tmp_path / folder).mkdir()
    with gzip.open(tmp_path / "export" / "entries-1.csv.gz", "wt", encoding="utf-8") as file:
        csv.writer(file).writerows(sound)
    columns = dict(zip(sound[0], map(list, zip(*sound[1:], strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "log" / "1.parquet")
    for place in ("export/sessions.csv", "sessions.csv"):
        shutil.copy(EXPORT / "messaging_sessions.csv", tmp_path / place)
    monkeypatch.chdir(tmp_path)
    export = "--messages export/*.csv.gz --sessions sessions.csv --output own --output_format csv"
    assert session_metrics.main([*export.split(), "--runner", "FnApiRunner"]) == 0
    shutil.copy("own/metrics-00000-of-00001.csv", "messaging_session_metrics.csv")
    shutil.rmtree("own")
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_readme_runs(own_files):
    """In their order; those of make, which need a checkout, by `.ci/run`.

    Those that name a runner need a cluster: `tests/dataflow` and `make test-cluster` run their like.
    """
    checks = (ROOT / ".ci" / "run").read_text("utf-8")
    for command in commands_of(ROOT / "README.md"):
        program, *words = shlex.split(command)
        if "--runner" in words:
            continue
        if program == "make":
            target, *arguments = words
            assert re.search(rf"^\s*make {target}( |$)", checks, re.MULTILINE), command
            if not arguments:
                continue
            program, *words = ["session-metrics", *shlex.split(arguments[0].removeprefix("ARGS="))]
        assert JOBS[program].main([*words, "--runner", "FnApiRunner"]) == 0, command
    assert list(own_files.glob("out/created_date=2024-10-02/metrics-*.avro"))
    assert (own_files / "calibration" / "calibration.json").exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page):
    """Options that neither the command nor Beam knows would be an error."""
    for command in commands_of(page):
        words = shlex.split(
            command.replace("python -m pipelines.session_metrics", "session-metrics")
        )
        if words[0] in JOBS:
            parser = JOBS[words[0]].parser()
            args, rest = parse_words(parser, words[1:], [])
            assert args.output, command
            check_values(rest)


@pytest.mark.slow
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


# The example.


@pytest.mark.slow
def test_pictures_of_the_output_are_current(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    command = re.search(r"session_metrics\s+(--messages .*)", makefile)[1].replace("'", "")
    words = command.replace("$(EXAMPLE)", "build/example").split()
    assert session_metrics.main([*words, "--runner", "FnApiRunner"]) == 0
    show.main("build/example")
    said = capsys.readouterr()
    of_first_session = said.out[: said.out.index("\n\nMSM", said.out.index("MSM"))]
    assert picture_in("README.md", "records") == lines_of(of_first_session)
    assert picture_in("docs/output.md", "counts") == lines_of(said.err)


def picture_in(page: str, name: str) -> list[str]:
    """The lines of a picture of an output, which is in a page under a name."""
    text = (ROOT / page).read_text("utf-8")
    (picture,) = re.findall(
        rf"<!-- example: {name} -->\n```\n(.*?)```\n<!-- /example -->", text, re.S
    )
    return picture.splitlines()


def lines_of(output: str) -> list[str]:
    return [line.rstrip() for line in output.strip("\n").splitlines()]


def test_example_export_is_what_the_generator_makes(tmp_path):
    generator = ROOT / "examples" / "generate.py"
    subprocess.run([sys.executable, generator, "--output", tmp_path], check=True)
    made, there = (
        {p.relative_to(top): p.read_bytes() for p in top.rglob("*") if p.is_file()}
        for top in (tmp_path, EXPORT)
    )
    assert made == there


# Links and places.


def anchors_of(page: pathlib.Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        times = found[anchor] = found.get(anchor, -1) + 1
        anchors.add(f"{anchor}-{times}" if times else anchor)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_code_font_exist(page):
    """Files that the text names from the project's root; modules may be named by their dots."""
    tops = "pipelines|transforms|schemas|tests|benchmarks|examples|docs|dataflow"
    text = page.read_text("utf-8")
    for name in re.findall(rf"`((?:{tops})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(rf"`((?:{tops})(?:\.\w+)+)`", text):
        assert pkgutil.resolve_name(name), name
