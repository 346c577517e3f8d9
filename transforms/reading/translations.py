"""The words of other systems, in place of those that are known. Pure; no Beam."""

import dataclasses
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import PLATFORMS
from transforms.errors import InputError
from transforms.reading.columns import RawBatch
from transforms.reading.names import ColumnNames
from transforms.reading.values import to_codes, to_words
from transforms.reading.words import EMBEDDED, MESSAGE_ENTRY_TYPES, SENDERS, STATUSES, one_of

Words = Mapping[str, Mapping[str, str]]
"""For each column the words of another system, and the known word that each stands for."""

KNOWN_WORDS: Mapping[str, Mapping[str, Iterable[str]]] = {
    "messages": {"sender_role": tuple(SENDERS), "entry_type": MESSAGE_ENTRY_TYPES},
    "sessions": {"status": STATUSES, "platform_type": PLATFORMS, "channel_type": (EMBEDDED,)},
}
"""By input and column: the words for which others may stand."""


def check_words(kind: str, words: Words) -> None:
    """Checks words of another system.

    Raises:
      InputError: a column does not hold words, or what a word stands for is not known.
    """
    for column, meanings in words.items():
        known = KNOWN_WORDS[kind].get(column)
        if known is None:
            columns = ", ".join(KNOWN_WORDS[kind])
            raise InputError(f"{kind} have no words in {column!r}; there are {columns}")
        for word, meaning in meanings.items():
            if one_of(known, pa.array([meaning])).null_count:
                raise InputError(
                    f"{column} {word!r} can't stand for {meaning!r}, but for {', '.join(known)}"
                )


def translated(raw: RawBatch, names: ColumnNames, words: Words) -> tuple[RawBatch, ColumnNames]:
    """A piece of an input with known words in place of those of another system.

    Args:
      raw: the piece as it was read.
      names: the names under which it has the columns.
      words: the words; case, blanks, `_` and `-` make no difference. Any other stays as it is.

    Returns:
      The piece with a column more for each one that is translated, and the names with it in the other's
      place: several columns may be read from one, each with words of its own.
    """
    columns, by_column = dict(raw.columns), dict(names.names)
    for column in words.keys() & by_column.keys():
        meaning = pa.array(list(words[column].values()), pa.string())
        for name in [name for name in by_column[column] if name in raw.columns]:
            codes = to_codes(raw.columns[name])
            place = pc.index_in(
                to_words(codes.dictionary), to_words(pa.array(list(words[column]), pa.string()))
            )
            dictionary = pc.coalesce(meaning.take(place), codes.dictionary)
            columns[f"{name}:{column}"] = pa.DictionaryArray.from_arrays(codes.indices, dictionary)
        by_column[column] = tuple(
            f"{name}:{column}" if name in raw.columns else name for name in by_column[column]
        )
    return dataclasses.replace(raw, columns=columns), dataclasses.replace(names, names=by_column)
