"""The last line of a command that has not published."""

import logging

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs.endings import EndedError, RunsOnError, explain, of_a_job_that_runs_on
from transforms.errors import OutputError

OUT, TABLE = "out", "p.d.t"


@pytest.mark.parametrize(
    ("error", "fates", "reason", "line"),
    [
        (KeyboardInterrupt(), {}, None, "interrupted; nothing was published"),
        (RuntimeError("KeyboardInterrupt"), {}, None, "interrupted; nothing was published"),
        (KeyboardInterrupt(), {OUT: "as it was"}, None, "interrupted; nothing was published"),
        (KeyboardInterrupt(), {OUT: "published"}, None, "interrupted; published already in out"),
        (
            KeyboardInterrupt(),
            {OUT: "begun", TABLE: "unknown"},
            None,
            "interrupted; publishing in out had begun: the next run ends it, _SUCCESS is missing until "
            "then; whether p.d.t was changed is not known",
        ),
        (EndedError("the job ended as CANCELED"), {}, None, "the job ended as CANCELED; @"),
        (
            EndedError("the job ended as FAILED"),
            {},
            "no slots",
            "the job ended as FAILED: no slots; @",
        ),
        (OutputError("out: is a file"), {OUT: "as it was"}, None, "out: is a file"),
        (
            OutputError("x: is full"),
            {OUT: "published"},
            None,
            "x: is full; published already in out",
        ),
        (ValueError("a customer's words"), {}, None, "the pipeline failed: ValueError; @"),
        (ValueError("a customer's words"), {}, "no slots", "the pipeline failed: no slots; @"),
        (RunsOnError("it runs on"), {OUT: "published"}, None, "it runs on"),
    ],
)
def test_the_line_of_an_error(error, fates, reason, line):
    assert explain(error, fates, reason) == line.replace("@", "nothing was published")


def test_an_unforeseen_error_is_logged(caplog):
    with caplog.at_level(logging.ERROR):
        explain(ValueError("unforeseen"), {})
        explain(OutputError("foreseen"), {})
    (record,) = caplog.records
    assert record.exc_info and str(record.exc_info[1]) == "unforeseen"


def test_the_line_of_a_job_that_runs_on():
    options = PipelineOptions(["--environment_type=EXTERNAL", "--environment_config=nowhere"])
    assert of_a_job_that_runs_on(OUT, options, True, KeyboardInterrupt()) == (
        "no longer waiting (KeyboardInterrupt), but the job was not ended and still publishes in out; "
        "cancel it where it runs"
    )
    assert of_a_job_that_runs_on(OUT, options, False, OSError()) == (
        "the job service does not answer any more (OSError); if the job runs on, it publishes in out: "
        "cancel it where it runs. --environment_config nowhere: is not of the form HOST:PORT"
    )
