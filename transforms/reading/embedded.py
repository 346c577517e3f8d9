"""Columns of texts that hold JSON, and what is inside of them. Pure; no Beam."""

import collections
import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from transforms.reading.columns import RawBatch
from transforms.reading.formats.json_columns import columns_of_texts
from transforms.reading.formats.parts import is_text, leading_parts


def look_into_texts(raw: RawBatch, names: Sequence[str]) -> RawBatch:
    """The batch with the columns that are inside of its texts.

        name          columns of the batch                    column more
        sender.role   sender: '{"role": "Agent"}', 'Agent'    sender.role: 'Agent', null

    A text that is no JSON object, or one without that name, gives null. Each text that a batch has
    several times is parsed once.

    Args:
      raw: the rows as read.
      names: the columns that are asked for, with dots where they are inside of others.
    """
    columns = dict(raw.columns)
    looked_into: set[str] = set()
    while True:
        inside: dict[str, list[str]] = collections.defaultdict(list)
        for name in names:
            _, *outer = leading_parts(name)
            top = next((part for part in outer if part in columns), None)
            if (
                name not in columns
                and top not in looked_into
                and top
                and is_text(columns[top].type)
            ):
                inside[top].append(name[len(top) + 1 :])
        if not inside:
            return (
                raw
                if len(columns) == len(raw.columns)
                else dataclasses.replace(raw, columns=columns)
            )
        for top, wanted in inside.items():
            looked_into.add(top)
            encoded = columns[top]
            if not pa.types.is_dictionary(encoded.type):
                encoded = encoded.dictionary_encode()
            found = columns_of_texts(encoded.dictionary, wanted)
            for name, array in found.items():
                columns[f"{top}.{name}"] = array.take(encoded.indices)
