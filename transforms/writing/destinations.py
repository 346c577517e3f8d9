"""Where a run's files and rows go, and which files of an earlier run they replace. Pure; no Beam."""

import dataclasses
import os
import re

from transforms.files import is_local
from transforms.writing.encoders import ENCODERS
from transforms.writing.file_ranges import FileKey
from transforms.writing.outputs import Output
from transforms.writing.rejects import is_rejects_file
from transforms.writing.tables import TableRange

Days = tuple[str | None, str | None]
"""Half open, dates as `YYYY-MM-DD`; None is no bound."""

Written = tuple[str, str, int]
"""A staged file: what its rows are (`Output.files`, or `collections.REJECTS`), its path in the directory
that is published, the number of its rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destination:
    """Where the rows of one output go: a directory, a table or both.

    Attributes:
      output: what the rows are.
      directory: the directory of the files, which are staged beside it.
      is_published: whether the files are published there; if not they are staged for the table alone.
      table: the rows of a table that they replace; None if they go to no table.
    """

    output: Output
    directory: str
    is_published: bool = True
    table: TableRange | None = None


def file_name(output: Output, key: FileKey, output_format: str) -> str:
    """The path, within the directory, of one file of an output.

    >>> from transforms.writing.records import RECORDS_OUTPUT
    >>> file_name(RECORDS_OUTPUT, ("2024-10-02", 0, 4), "avro")
    'created_date=2024-10-02/metrics-00000-of-00004.avro'
    """
    partition, number, of = key
    name = f"{output.files}-{number:05d}-of-{of:05d}.{output_format}"
    return f"{output.partition}={partition}/{name}" if partition else name


def is_file_of(output: Output, days: Days, name: str) -> bool:
    """Whether a file, by its path within a directory, is one that this run or an earlier one has written.

    Args:
      output: what the rows are.
      days: of the files in directories by day, those of these days alone.
      name: the path.
    """
    found = re.fullmatch(
        rf"(?:{output.partition}=(?P<day>\d{{4}}-\d{{2}}-\d{{2}})/)?"
        rf"{output.files}-\d{{5}}-of-\d{{5}}\.(?:{'|'.join(ENCODERS)})",
        name,
    )
    if not found or found["day"] is None:
        return bool(found)
    start, end = days
    return (start is None or start <= found["day"]) and (end is None or found["day"] < end)


@dataclasses.dataclass(frozen=True)
class RejectsPlace:
    """Where the rejects go.

    Attributes:
      directory: the directory that is published with them.
      within: the path of their own directory in it; empty if it is the same.
    """

    directory: str
    within: str

    @classmethod
    def of(cls, output: str, rejects: str | None) -> "RejectsPlace":
        """The place of rejects that go to `rejects`, by default to `rejects` in the output."""
        if rejects is None:
            return cls(output, "rejects")
        within = _path_within(output, rejects)
        if within is None:
            return cls(rejects, "")
        return cls(output, "" if within == os.curdir else within)

    def owns(self, name: str) -> bool:
        """Whether a file, by its path within the directory, may hold rejects of an earlier run."""
        folder, file = os.path.split(name)
        return folder == self.within and is_rejects_file(file)


def _path_within(top: str, path: str) -> str | None:
    """The path of a directory in another one, `.` if it is the same; None if it is outside."""
    if is_local(top) and is_local(path):
        within = os.path.relpath(os.path.realpath(path), os.path.realpath(top))
        return None if within.split(os.sep)[0] == os.pardir else within
    top, path = f"{top.rstrip('/')}/", f"{path.rstrip('/')}/"
    return os.path.normpath(path[len(top) :]) if path.startswith(top) else None
