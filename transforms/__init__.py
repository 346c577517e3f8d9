"""The transforms and rows that a Beam user imports.

    messages = pipeline | ReadMessages(["messages-*.parquet"])
    sessions = pipeline | ReadSessions(["sessions.csv"])
    (messages, sessions) | ComputeSessionMetrics() | WriteMetrics("metrics")

Each name is loaded when it is first asked for. Python runs this file before any module of the package,
and importing Beam takes seconds: `--help` and the pure modules must be able to do without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.rows import MessageRow as MessageRow
    from schemas.rows import MetricRow as MetricRow
    from schemas.rows import SessionRow as SessionRow
    from transforms.collections import Batches as Batches
    from transforms.collections import Metrics as Metrics
    from transforms.folding.compute import ComputeSessionMetrics as ComputeSessionMetrics
    from transforms.keying.assign import AssignSessions as AssignSessions
    from transforms.policy import Policy as Policy
    from transforms.reading.read import ReadMessages as ReadMessages
    from transforms.reading.read import ReadMessagesAndSessions as ReadMessagesAndSessions
    from transforms.reading.read import ReadParticipants as ReadParticipants
    from transforms.reading.read import ReadSessions as ReadSessions
    from transforms.reading.read import ReadSummaries as ReadSummaries
    from transforms.reading.rows import BatchMessages as BatchMessages
    from transforms.reading.rows import BatchSessions as BatchSessions
    from transforms.rejects import Reject as Reject
    from transforms.reporting.build import BuildReport as BuildReport
    from transforms.reporting.page import ReportPage as ReportPage
    from transforms.writing.rows import ToRejects as ToRejects
    from transforms.writing.rows import ToRows as ToRows
    from transforms.writing.write import WriteMetrics as WriteMetrics

_MODULE_OF = {
    "MessageRow": "schemas.rows",
    "MetricRow": "schemas.rows",
    "SessionRow": "schemas.rows",
    "Batches": "transforms.collections",
    "Metrics": "transforms.collections",
    "ComputeSessionMetrics": "transforms.folding.compute",
    "AssignSessions": "transforms.keying.assign",
    "Policy": "transforms.policy",
    "ReadMessages": "transforms.reading.read",
    "ReadMessagesAndSessions": "transforms.reading.read",
    "ReadParticipants": "transforms.reading.read",
    "ReadSessions": "transforms.reading.read",
    "ReadSummaries": "transforms.reading.read",
    "BatchMessages": "transforms.reading.rows",
    "BatchSessions": "transforms.reading.rows",
    "Reject": "transforms.rejects",
    "BuildReport": "transforms.reporting.build",
    "ReportPage": "transforms.reporting.page",
    "ToRejects": "transforms.writing.rows",
    "ToRows": "transforms.writing.rows",
    "WriteMetrics": "transforms.writing.write",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
