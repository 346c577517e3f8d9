"""Errors that a user can solve: one line each, with what is wrong, where, and what to do."""

import re


class JobError(Exception):
    """The run can give no result that can be trusted. The text is one line."""


class InputError(JobError):
    """An input is missing, unreadable or truncated, or lacks a column that it must have."""


class OutputError(JobError):
    """The output can't be written or published."""


class TooManyRejectsError(JobError):
    """More rows were rejected than `max_reject_ratio` allows."""


class NoMessagesError(JobError):
    """Sessions are reported, and not one message counts."""


def find_job_error(error: BaseException) -> str | None:
    """Returns the text of the `JobError` behind a runner's exception, None if there is no such error.

    A runner wraps the error that a worker raised: in a chain of causes if the worker ran in this
    process, as the text of a traceback if it did not.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, JobError):
            break
        seen = seen.__cause__ or seen.__context__
    text = str(seen if seen is not None else error)
    if seen is None:
        kinds: list[type] = [JobError, *JobError.__subclasses__()]
        names = "|".join(kind.__name__ for kind in kinds)
        found = re.findall(rf"(?:transforms\.errors\.|\b)(?:{names}): ([^\n]+)", text)
        if not found:
            return None
        text = found[-1]
    return re.sub(r" \[while running .*", "", text.splitlines()[0]).strip()
