"""What a Beam user imports.

    messages = pipeline | ReadMessages(["messages-*.parquet"])
    sessions = pipeline | ReadSessions(["sessions.csv"])
    (messages, sessions) | ComputeSessionMetrics() | WriteMetrics("metrics")

Each name is loaded when it is first asked for, so that the pure modules can be had without Beam.
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
    from transforms.policy import Policy as Policy
    from transforms.reading.read import ReadMessages as ReadMessages
    from transforms.reading.read import ReadMessagesAndSessions as ReadMessagesAndSessions
    from transforms.reading.read import ReadSessions as ReadSessions
    from transforms.reading.read import ReadSummaries as ReadSummaries
    from transforms.reading.rows import BatchMessages as BatchMessages
    from transforms.reading.rows import BatchSessions as BatchSessions
    from transforms.reporting.build import BuildReport as BuildReport
    from transforms.reporting.page import ReportPage as ReportPage
    from transforms.writing.rows import ToRows as ToRows
    from transforms.writing.write import WriteMetrics as WriteMetrics

_MODULES = {
    "schemas.rows": ("MessageRow", "MetricRow", "SessionRow"),
    "transforms.collections": ("Batches", "Metrics"),
    "transforms.folding.compute": ("ComputeSessionMetrics",),
    "transforms.policy": ("Policy",),
    "transforms.reading.read": (
        "ReadMessages",
        "ReadMessagesAndSessions",
        "ReadSessions",
        "ReadSummaries",
    ),
    "transforms.reading.rows": ("BatchMessages", "BatchSessions"),
    "transforms.reporting.build": ("BuildReport",),
    "transforms.reporting.page": ("ReportPage",),
    "transforms.writing.rows": ("ToRows",),
    "transforms.writing.write": ("WriteMetrics",),
}
__all__ = sorted(name for names in _MODULES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
