"""The parameters of the Flex Template: the options of the main job, with what its parser can't know.

`python -m docs.generate` writes them to `dataflow/metadata.json`, which the template is built with.
"""

import argparse
import re
from typing import Any, NamedTuple

from schemas import metric_types

_PATH = r"gs://[a-z0-9][a-z0-9._-]+/[^\r\n]*[^/\r\n]"

_TABLE = "[a-z][A-Za-z0-9_.:-]*[:.][A-Za-z0-9_]+[.][A-Za-z0-9_-]+"

# In place of a directory a table is known by its colon.
_TABLE_WITH_COLON = "[a-z][A-Za-z0-9_.-]*:([A-Za-z0-9_-]+[.:])?[A-Za-z0-9_]+[.][A-Za-z0-9_-]+"

_INPUT = f"^({_PATH}|bigquery:{_TABLE})$"

_COLUMNS = r"^[a-z_]+=[^=,\s][^=,]*(,[a-z_]+=[^=,\s][^=,]*)*$"

_WORD = "[^=,]*[^=,:\\s_-][^=,]*"

_WORDS = f"^[a-z_]+:{_WORD}=[A-Za-z_ -]+(,([a-z_]+:)?{_WORD}=[A-Za-z_ -]+)*$"

_METRIC = f"({'|'.join(metric_types())})"

_WHEN = (
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)


_TIME_ZONE = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


class Parameter(NamedTuple):
    """What the parser can't know of a parameter.

    Attributes:
      label: the name that a form shows.
      regex: the values that are taken; empty for an option with choices, which are the values.
      note: a sentence after the help text of the option.
      is_optional: whether a job can do without it.
    """

    label: str
    regex: str = ""
    note: str = ""
    is_optional: bool = True


_IMAGE = Parameter(
    "Container image",
    "^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?"
    "(@sha256:[0-9a-f]{64})?$",
    "The image that the workers run: the one that this template was built from, as "
    "REGION-docker.pkg.dev/PROJECT/REPOSITORY/session-metrics:TAG.",
    is_optional=False,
)

_PARAMETERS = {
    "messages": Parameter(
        "Messages",
        _INPUT,
        "One pattern, as gs://BUCKET/entries/*.parquet (Avro, Parquet, JSON, JSON Lines or CSV, by the "
        "suffix; ** reaches into folders), or one table, as bigquery:PROJECT.DATASET.TABLE.",
        is_optional=False,
    ),
    "sessions": Parameter(
        "Sessions",
        _INPUT,
        "One pattern, as gs://BUCKET/sessions/*.csv, or one table, as bigquery:PROJECT.DATASET.TABLE.",
        is_optional=False,
    ),
    "sdk_container_image": _IMAGE,
    "output": Parameter(
        "Output folder",
        f"^{_PATH}/?$",
        "For example gs://BUCKET/metrics. This or output_table must be given.",
    ),
    "output_table": Parameter("Output table", f"^{_TABLE}$", "For example PROJECT:DATASET.TABLE."),
    "channels": Parameter("Channels", _INPUT),
    "participants": Parameter("Participants", _INPUT),
    "message_columns": Parameter("Columns of the messages", _COLUMNS),
    "session_columns": Parameter("Columns of the sessions", _COLUMNS),
    "participant_columns": Parameter("Columns of the participants", _COLUMNS),
    "channel_columns": Parameter("Columns of the channels", _COLUMNS),
    "message_format": Parameter("Format of the messages"),
    "session_format": Parameter("Format of the sessions"),
    "participant_format": Parameter("Format of the participants"),
    "channel_format": Parameter("Format of the channels"),
    "message_values": Parameter("Words of the messages", _WORDS),
    "session_values": Parameter("Words of the sessions", _WORDS),
    "message_time_zone": Parameter("Time zone of the messages", _TIME_ZONE),
    "session_time_zone": Parameter("Time zone of the sessions", _TIME_ZONE),
    "assume_platform": Parameter("Platform to assume"),
    "output_format": Parameter("Output format"),
    "partition_by": Parameter("Partition by"),
    "rejects": Parameter("Rejects folder", f"^{_PATH}/?$"),
    "max_reject_ratio": Parameter(
        "Largest share of rejects", "^(0([.][0-9]+)?|[.][0-9]+|1([.]0+)?)$"
    ),
    "allow_no_messages": Parameter("Allow that no message counts"),
    "summary": Parameter("Summary file", f"^{_PATH}$"),
    "session_summary": Parameter(
        "Summary of each session",
        f"^({_PATH}/?|{_TABLE_WITH_COLON})$",
        "For example gs://BUCKET/sessions or PROJECT:DATASET.TABLE.",
    ),
    "report": Parameter("Page of a report", f"^{_PATH}$"),
    "report_time_zone": Parameter("Time zone of the report", _TIME_ZONE),
    "metrics": Parameter("Metrics", f"^{_METRIC}(,{_METRIC})*$"),
    "closed_from": Parameter("Closed from", _WHEN),
    "closed_until": Parameter("Closed until", _WHEN),
    "created_from": Parameter("Created from", _WHEN),
    "created_until": Parameter("Created until", _WHEN),
    "session_lead": Parameter("Seconds before a session", "^[0-9]{1,9}$"),
    "response_from": Parameter("Response is timed from"),
    "bots": Parameter("Bots"),
    "rounding": Parameter("Rounding"),
    "late_messages": Parameter("Late messages"),
}

_OF_A_TERMINAL = {"verbose"}
"""The options that are no parameters: only who starts a job by hand sees what they do."""


def metadata(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Returns the template's metadata, as `gcloud dataflow flex-template build` takes it.

    Raises:
      KeyError: an option of the parser has no entry in this module's table, or the reverse.
    """
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    if odd := (set(actions) - _OF_A_TERMINAL) ^ (set(_PARAMETERS) - {"sdk_container_image"}):
        raise KeyError(f"an option without a parameter, or the reverse: {', '.join(sorted(odd))}")
    return {
        "name": "Messaging session metrics",
        "description": "Computes Salesforce's six MessagingSessionMetrics records of each closed "
        "messaging session from the conversation log.",
        "streaming": False,
        "parameters": [_described(name, actions.get(name)) for name in _PARAMETERS],
    }


def _described(name: str, action: argparse.Action | None) -> dict[str, Any]:
    parameter = _PARAMETERS[name]
    choices = list(action.choices or ()) if action else []
    sentences = [_sentence(action) if action else "", parameter.note]
    described: dict[str, Any] = {
        "name": name,
        "label": parameter.label,
        "helpText": " ".join(filter(None, sentences)),
        "isOptional": parameter.is_optional,
        "regexes": [f"^({'|'.join(choices)})$" if choices else parameter.regex],
        "paramType": "ENUM" if choices else "TEXT",
    }
    if choices:
        described["enumOptions"] = [{"value": choice} for choice in choices]
    if action and action.default not in (None, []):
        described["defaultValue"] = str(action.default)
    return described


def _sentence(action: argparse.Action) -> str:
    """The help of an option as sentences in which options are parameters.

    "file for the page (default none)" of an option whose default argparse does not know becomes
    "File for the page. By default none."
    """
    text, default = split_default(action)
    text = f"{text[:1].upper()}{text[1:]}."
    if default and action.default in (None, []):
        text += f" By default {default}."
    return text.replace("--", "")


def split_default(action: argparse.Action) -> tuple[str, str]:
    """The help of an option, and the default that stands at its end as `(default ...)`."""
    text = (action.help or "") % vars(action)
    found = re.fullmatch(r"(.*?)(?: \(default (.*)\))?", text)
    assert found is not None
    return found[1], found[2] or ""
