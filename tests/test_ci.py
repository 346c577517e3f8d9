"""The workflow runs `.ci/run`, and `.ci/run` runs targets of the Makefile."""

import os
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def test_workflow_runs_the_script():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_script_runs_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    used = set(re.findall(r"^ *make ([a-z-]+)", script, re.MULTILINE))
    assert {
        "lint",
        "test",
        "run",
        "bench",
        "flink-job-server",
        "test-cluster",
        "test-browser",
    } <= used
    assert used <= set(phony)
