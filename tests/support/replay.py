"""Runs a pipeline that was staged for Dataflow, as a worker does, and prints the counters as JSON.

    python replay.py gs://bucket/staging/job/pipeline.pb

The Python that runs this program has the package that was staged with the pipeline, and no other code of
the project.
"""

import json
import sys

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as beam_api
from apache_beam.runners.portability.fn_api_runner import fn_runner


def main(url: str) -> None:
    with FileSystems.open(url) as file:
        pipeline = beam_api.Pipeline.FromString(file.read())
    # The pipeline names a container as its environment; here it runs in this process.
    for environment in pipeline.components.environments.values():
        here = beam_api.Environment(
            urn=python_urns.EMBEDDED_PYTHON, capabilities=environment.capabilities
        )
        environment.CopyFrom(here)
    result = fn_runner.FnApiRunner().run_via_runner_api(pipeline, PipelineOptions())
    assert result.wait_until_finish() == "DONE"
    totals: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        if counter.key.metric.namespace == "session_metrics":
            name = counter.key.metric.name
            totals[name] = totals.get(name, 0) + counter.result
    print(json.dumps(totals, sort_keys=True))


if __name__ == "__main__":
    main(sys.argv[1])
