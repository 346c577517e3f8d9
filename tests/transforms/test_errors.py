"""The line that a user sees, found behind the exception of any runner."""

import pytest

from transforms.errors import InputError, TooManyRejectsError, find_job_error

LINE = "m.csv: no such file"


def wrapped(inner: BaseException, outer: BaseException) -> BaseException:
    """An exception that was raised from another one."""
    outer.__cause__ = inner
    return outer


def while_handling(inner: BaseException, outer: BaseException) -> BaseException:
    """An exception that was raised while another one was handled."""
    outer.__context__ = inner
    return outer


TRACEBACK = (
    "Traceback (most recent call last):\n  File ...\n"
    f"transforms.errors.InputError: {LINE} [while running 'ReadMessages/Parse-ptransform-42']\n"
)


@pytest.mark.parametrize(
    "error",
    [
        InputError(LINE),
        wrapped(InputError(LINE), RuntimeError("failed")),
        while_handling(InputError(LINE), RuntimeError("failed")),
        wrapped(wrapped(InputError(LINE), ValueError("x")), RuntimeError("failed")),
        InputError(f"{LINE} [while running 'ReadMessages/Parse']"),
        InputError(f"{LINE}\nand more"),
        RuntimeError(TRACEBACK),
        # The last error of a text is the one that ended the run.
        RuntimeError(f"transforms.errors.OutputError: out: no space left\n{TRACEBACK}"),
        RuntimeError(f"InputError: {LINE}"),
    ],
)
def test_line_of_the_job_error(error):
    assert find_job_error(error) == LINE


@pytest.mark.parametrize(
    "error", [RuntimeError("failed"), wrapped(ValueError("x"), RuntimeError("NotAnInputError: x"))]
)
def test_no_job_error(error):
    assert find_job_error(error) is None


def test_each_kind_is_found_in_text():
    text = "transforms.errors.TooManyRejectsError: 8 of 568 messages rejected"
    assert find_job_error(RuntimeError(text)) == "8 of 568 messages rejected"
    assert find_job_error(TooManyRejectsError("8 of 568")) == "8 of 568"
