"""Writes what the documents take from the code: `python -m docs.generate`, from the project's root.

These are written whole or in part, and `tests/test_docs.py` fails where one is stale:

* `docs/schema.md`, from the Avro schemas and the table of column names;
* `dataflow/metadata.json`, from the parser of the main job and `dataflow/parameters.py`;
* `pipelines/beam_options.txt`, from Beam's own options;
* in any other document, each part between the lines `<!-- made: NAME -->` and `<!-- /made -->`.
"""

import argparse
import json
import pathlib
import re
from collections.abc import Iterator, Mapping

from dataflow import parameters
from pipelines import calibration, report, session_metrics
from pipelines.jobs.beam_options import beam_parser
from schemas import aliases, avro_schema, envelopes, is_nullable, metric_types
from schemas.arrow import arrow_schema
from transforms.reading.fates import REJECTED, SKIPPED

ROOT = pathlib.Path(__file__).parent.parent

_PART = re.compile(r"(<!-- made: (.*?) -->\n).*?(<!-- /made -->)", re.DOTALL)


def schema_page() -> str:
    """The page of the schemas: the fields of both outputs, and the names of the inputs' columns."""
    lines = ["# Schemas", "", "Made from `schemas/` by `python -m docs.generate`; do not edit."]
    for name in ("messaging_session_metrics", "messaging_session_summary"):
        lines += _fields(name)
        if name == "messaging_session_metrics":
            lines += ["", f"Types: {', '.join(f'`{name}`' for name in metric_types())}."]
    for kind in ("messages", "sessions", "participants", "channels", "records", "summaries"):
        lines += _names(kind)
    within = " or ".join(f"`{name}`" for name in envelopes())
    lines += ["", f"The columns of messages and sessions may also be inside of {within}."]
    return "\n".join(lines) + "\n"


def _fields(name: str) -> Iterator[str]:
    schema = avro_schema(name)
    yield from ("", f"## {schema['name']}", "", schema["doc"], "")
    yield "| field | Avro | Parquet | meaning |"
    yield "|---|---|---|---|"
    for field, column in zip(schema["fields"], arrow_schema(name), strict=True):
        null = " or null" if is_nullable(field) else ""
        avro_type = field["type"][1] if null else field["type"]
        if isinstance(avro_type, dict):
            avro_type = avro_type.get("logicalType", avro_type["type"])
        yield f"| `{field['name']}` | {avro_type}{null} | {column.type} | {field['doc']} |"


def _names(kind: str) -> Iterator[str]:
    yield from ("", f"## Columns of {kind}", "")
    yield "| column | | known names, in order of preference |"
    yield "|---|---|---|"
    for column, entry in aliases(kind).items():
        needed = "required" if entry["required"] else "optional"
        if "or" in entry:
            needed += f", or `{entry['or']}`"
        yield f"| `{column}` | {needed} | {', '.join(f'`{name}`' for name in entry['names'])} |"


def option_tables(parser: argparse.ArgumentParser) -> str:
    """The options of a command: a table for each group, with a row for each option."""
    return "\n".join(_option_groups(parser)).lstrip("\n") + "\n"


def _option_groups(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        if not actions:
            continue
        if group.title != "options":
            title = str(group.title)
            yield from ("", f"{title[:1].upper()}{title[1:]}:")
        yield from ("", "| option | value | default | meaning |", "|---|---|---|---|")
        yield from map(_option, actions)


def _option(action: argparse.Action) -> str:
    meaning, default = parameters.split_default(action)
    if action.nargs == 0:
        value = ""
    elif action.choices:
        value = " ".join(f"`{choice}`" for choice in action.choices)
    else:
        places = str(action.metavar).split("|")
        value = " or ".join(f"`{place}{'...' * (action.nargs == '+')}`" for place in places)
    (flag,) = action.option_strings
    if action.default not in (None, [], False) and default in ("", str(action.default)):
        default = f"`{action.default}`"
    cells = (f"`{flag}`", value, _with_code(default), _with_code(meaning))
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _with_code(text: str) -> str:
    """A text with the options that it names in code font."""
    return re.sub(r"--[a-z_]+", r"`\g<0>`", text)


def reason_table(by_input: Mapping[str, Mapping[str, str]]) -> str:
    """Why rows are rejected or skipped: a row for each reason, with the inputs that have it.

    Args:
      by_input: for each input its reasons, and what each means. The summaries are left out: their
        reasons are two for each column.
    """
    inputs: dict[tuple[str, str], list[str]] = {}
    for name, reasons in by_input.items():
        for reason in reasons.items() if name != "summaries" else ():
            inputs.setdefault(reason, []).append(name)
    rows = [
        f"| `{reason}` | {', '.join(names)} | {meaning} |"
        for (reason, meaning), names in inputs.items()
    ]
    return "\n".join(["| reason | inputs | of the row |", "|---|---|---|", *rows]) + "\n"


def template_metadata() -> str:
    """The metadata of the Flex Template."""
    return json.dumps(parameters.metadata(session_metrics.parser()), indent=2) + "\n"


def beam_option_names() -> str:
    """The names of Beam's own options, which a command knows without Beam; a line for each."""
    names = {name for action in beam_parser()._actions for name in action.option_strings}
    return "\n".join(sorted(names)) + "\n"


PARTS = {
    "options of session-metrics": lambda: option_tables(session_metrics.parser()),
    "options of session-calibration": lambda: option_tables(calibration.parser()),
    "options of session-report": lambda: option_tables(report.parser()),
    "reasons to reject": lambda: reason_table(REJECTED),
    "reasons to skip": lambda: reason_table(SKIPPED),
}
"""By name: the parts of documents that are written by hand in the rest."""


def filled(text: str) -> str:
    """A document with its parts made anew.

    Raises:
      KeyError: a part is not one of `PARTS`.
    """
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def documents() -> dict[pathlib.Path, str]:
    """Everything that this module makes: the text of each file."""
    made = {
        ROOT / "docs" / "schema.md": schema_page(),
        ROOT / "dataflow" / "metadata.json": template_metadata(),
        ROOT / "pipelines" / "beam_options.txt": beam_option_names(),
    }
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        text = path.read_text("utf-8")
        if "<!-- made: " in text:
            made[path] = filled(text)
    return made


def main() -> None:
    """Writes the files that are stale."""
    for path, text in documents().items():
        if path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
