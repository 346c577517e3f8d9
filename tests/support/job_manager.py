"""A stand-in for Flink's JobManager, which answers as its REST API does."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator


class JobManager(http.server.BaseHTTPRequestHandler):
    """The jobs, each of which goes through its states as it is asked for; cancelled, through others.

    Attributes:
      jobs: the states of each job, by its id.
      names: the names of the jobs, by their ids.
      failures: the errors of the jobs that have failed, by their ids.
    """

    jobs: dict[str, list[str]]
    names: dict[str, str]
    failures: dict[str, str]

    def do_GET(self) -> None:
        """Answers for the overview, a job or its errors."""
        if self.path == "/jobs/overview":
            jobs = [
                {"jid": jid, "name": name, "state": self.jobs[jid][0]}
                for jid, name in self.names.items()
            ]
            self._answer({"jobs": jobs})
        elif self.path.endswith("/exceptions"):
            self._answer({"root-exception": self.failures.get(self.path.split("/")[2])})
        else:
            states = self.jobs[self.path.rpartition("/")[2]]
            self._answer({"state": states.pop(0) if len(states) > 1 else states[0]})

    def do_PATCH(self) -> None:
        """Cancels a job."""
        place, _, query = self.path.partition("?")
        assert query == "mode=cancel"
        self.jobs[place.rpartition("/")[2]][:] = ["CANCELLING", "CANCELLING", "CANCELED"]
        self._answer({})

    def _answer(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A JobManager with three jobs, at HOST:PORT."""
    JobManager.jobs = {"1": ["RUNNING"], "2": ["RUNNING"], "3": ["FAILED"]}
    JobManager.names = {"1": "nightly", "2": "other_one", "3": "nightly"}
    JobManager.failures = {"3": "JobException: ...\nCaused by: java.io.IOException: no space left"}
    with http.server.HTTPServer(("127.0.0.1", 0), JobManager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
