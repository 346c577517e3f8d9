"""What a Beam user imports.

messages = pipeline | ReadMessages(["messages-*.parquet"])
sessions = pipeline | ReadSessions(["sessions.csv"])
(messages, sessions) | ComputeSessionMetrics() | WriteMetrics("metrics")
"""

from schemas.rows import MessageRow as MessageRow
from schemas.rows import MetricRow as MetricRow
from schemas.rows import SessionRow as SessionRow
from transforms.computing import ComputeSessionMetrics as ComputeSessionMetrics
from transforms.computing import Metrics as Metrics
from transforms.policy import Policy as Policy
from transforms.reading import Batches as Batches
from transforms.reading import ReadMessages as ReadMessages
from transforms.reading import ReadSessions as ReadSessions
from transforms.rows import BatchMessages as BatchMessages
from transforms.rows import BatchSessions as BatchSessions
from transforms.rows import ToRows as ToRows
from transforms.writing import WriteMetrics as WriteMetrics
