"""The page about Dataflow: its commands, parameters and counters are those of the job."""

import re

import apache_beam as beam
import yaml

from pipelines import session_metrics
from pipelines.command_line import parse_words
from pipelines.jobs.beam_options import check_values
from pipelines.jobs.session_metrics import build
from tests.support.cli import ROOT, RUNNER, make_job
from tests.support.dataflow import PARAMETERS
from transforms.publishing.publish import PreparedOutputs

PAGE = (ROOT / "docs" / "dataflow.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of the page in a language, with continued lines joined."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]


def filled(text: str) -> str:
    """A command of the page with values in place of its shell variables."""
    values = dict(re.findall(r"^([A-Z]+)=(\S+)", blocks("sh")[0], re.MULTILINE))
    # A value may itself hold a variable.
    for _ in range(3):
        text = re.sub(r"\$\{?([A-Z]+)\}?", lambda m: values[m[1]], text)
    return text


def test_commands_of_the_page_are_understood():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [
        re.sub("[\"']", "", filled(line)).split()
        for line in lines
        if re.match("python -m pipelines.session_metrics|session-metrics", line)
    ]
    assert len(commands) >= 2
    for words in commands:
        words = words[3:] if words[0] == "python" else words[1:]
        args, rest = parse_words(session_metrics.parser(), words, [])
        assert [path[:15] for path in (*args.messages, *args.sessions)] == ["gs://my-bucket/"] * 2
        assert args.output == "gs://my-bucket/metrics"
        check_values(rest)


def check_parameters(found: dict[str, str]) -> None:
    for name, value in found.items():
        if "${" not in value and "{{" not in value:
            assert re.fullmatch(PARAMETERS[name]["regexes"][0], value), (name, value)
    assert set(found) <= set(PARAMETERS)
    assert {name for name, one in PARAMETERS.items() if not one["isOptional"]} <= set(found)


def test_parameters_of_the_page_are_the_templates():
    runs = [line for b in blocks("sh") for line in b.splitlines() if "flex-template run" in line]
    assert runs
    for line in runs:
        pairs = re.findall(r"--parameters[ =](\S+?)=(\S+)", re.sub("[\"']", "", filled(line)))
        check_parameters(dict(pairs))
    (workflow,) = blocks("yaml")
    launch = yaml.safe_load(filled(workflow))
    steps = {name: step for one in launch["main"]["steps"] for name, step in one.items()}
    check_parameters(steps["launch"]["args"]["body"]["launchParameter"]["parameters"])
    (dag,) = blocks("python")
    compile(dag, "dag", "exec")
    parameters = re.search(r'"parameters": (\{.*?\n +\})', dag, re.DOTALL)[1]
    check_parameters(eval(filled(parameters)))


def in_general(counter: str) -> str:
    """A counter as the page lists it: those that differ in a reason or a number are one."""
    counter = re.sub("_rejected_.*", "_rejected_<reason>", counter)
    return re.sub(r"_by_\d+_min", "_by_<minutes>_min", counter)


def test_page_lists_every_counter(tmp_path):
    export = ROOT / "examples" / "export"
    words = f"""--messages {export}/conversation_entries.csv {export}/connect_pages/*.json
        --sessions {export}/messaging_sessions.csv --max_reject_ratio 0.05 --output {tmp_path}/out
        {RUNNER}"""
    job = make_job(words.split())
    pipeline = beam.Pipeline(options=job.beam_options)
    build(pipeline, job)
    with PreparedOutputs(job.outputs, job.run):
        result = pipeline.run()
        result.wait_until_finish()
    keys = [one.key.metric for one in result.metrics().query()["counters"]]
    used = {
        (key.namespace, in_general(key.name))
        for key in keys
        if key.namespace.startswith("session_metrics")
    }
    listed = {
        (namespace, name)
        for namespace, table in re.findall(r"In `(session_metrics[.\w]*)`:\n\n((?:\|.*\n)+)", PAGE)
        for row in table.splitlines()
        for name in re.findall(r"`([a-z_<>]+)`", row.split("|")[1])
    }
    assert used - listed == set()
    assert {namespace for namespace, _ in listed} == {"session_metrics", "session_metrics.stages"}
