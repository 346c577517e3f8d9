"""The last line of a command that has not published: what has happened, what became of the output."""

import logging
from collections.abc import Mapping

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.jobs.endpoints import pool_problem
from pipelines.jobs.failures import briefly
from transforms.errors import find_job_error
from transforms.publishing.staging import Fate


class RunsOnError(Exception):
    """Nobody waits for the job any more, and it has not ended. The text is one line."""


class EndedError(Exception):
    """The job has ended without success. The text is one line."""


_FATES = {
    "published": "published already in {}",
    "begun": "publishing in {} had begun: the next run ends it, _SUCCESS is missing until then",
    "unknown": "whether {} was changed is not known",
}


def explain(error: BaseException, fates: Mapping[str, Fate], reason: str | None = None) -> str:
    """The line for an error that ended a run; the traceback of an unforeseen error is logged.

    Args:
      error: the error.
      fates: the fate of each output.
      reason: what is known of a job that ran elsewhere.
    """
    changed = [_FATES[fate].format(output) for output, fate in fates.items() if fate in _FATES]
    if isinstance(error, RunsOnError):
        return str(error)
    # A worker in another process hands over the text of its error alone.
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
        line = "interrupted"
    elif isinstance(error, EndedError):
        line = f"{error}: {reason}" if reason else str(error)
    elif found := find_job_error(error):
        # The text of a JobError has the rest, also whether nothing was published.
        published = [output for output, fate in fates.items() if fate == "published"]
        return "; ".join([found, *(_FATES["published"].format(output) for output in published)])
    else:
        logging.getLogger(__name__).error("The pipeline failed", exc_info=error)
        line = f"the pipeline failed: {reason or type(error).__name__}"
    return "; ".join([line, *(changed or ["nothing was published"])])


def of_a_job_that_runs_on(
    published_in: str, options: PipelineOptions, service_answers: bool, error: BaseException
) -> str:
    """The line for a job that nobody waits for any more."""
    if service_answers:
        return (
            f"no longer waiting ({briefly(error)}), but the job was not ended and still publishes in "
            f"{published_in}; cancel it where it runs"
        )
    line = (
        f"the job service does not answer any more ({briefly(error)}); if the job runs on, it "
        f"publishes in {published_in}: cancel it where it runs"
    )
    return ". ".join(filter(None, [line, pool_problem(options)]))
