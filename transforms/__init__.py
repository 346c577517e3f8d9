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
    from transforms.computing import ComputeSessionMetrics as ComputeSessionMetrics
    from transforms.computing import Metrics as Metrics
    from transforms.policy import Policy as Policy
    from transforms.reading import Batches as Batches
    from transforms.reading import ReadMessages as ReadMessages
    from transforms.reading import ReadMessagesAndSessions as ReadMessagesAndSessions
    from transforms.reading import ReadSessions as ReadSessions
    from transforms.reading import ReadSummaries as ReadSummaries
    from transforms.reporting import BuildReport as BuildReport
    from transforms.reporting import ReportPage as ReportPage
    from transforms.rows import BatchMessages as BatchMessages
    from transforms.rows import BatchSessions as BatchSessions
    from transforms.rows import ToRows as ToRows
    from transforms.writing import WriteMetrics as WriteMetrics

_MODULES = {
    "schemas.rows": ("MessageRow", "MetricRow", "SessionRow"),
    "transforms.computing": ("ComputeSessionMetrics", "Metrics"),
    "transforms.policy": ("Policy",),
    "transforms.reading": (
        "Batches",
        "ReadMessages",
        "ReadMessagesAndSessions",
        "ReadSessions",
        "ReadSummaries",
    ),
    "transforms.reporting": ("BuildReport", "ReportPage"),
    "transforms.rows": ("BatchMessages", "BatchSessions", "ToRows"),
    "transforms.writing": ("WriteMetrics",),
}
__all__ = sorted(name for names in _MODULES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
