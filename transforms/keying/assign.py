"""Gives messages that name only their conversation a session: `AssignSessions`."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.typehints.decorators import no_annotations

from transforms.batches import kind_of
from transforms.collections import COUNTS, Batches
from transforms.keying.conversations import assign_shard, by_conversation, of_conversations
from transforms.keying.key import SplitByShard, number_of_shards
from transforms.keying.narrowing import narrow
from transforms.plumbing.coders import RecordBatchCoder
from transforms.plumbing.threads import Done, OverlappingDoFn, Task
from transforms.policy import DEFAULT_LEAD_US


@dataclasses.dataclass(eq=False)  # Beam sets attributes and hashes
class AssignSessions(beam.PTransform):
    """Finds the session of each message that names only its conversation.

    Takes `Batches` of messages and sessions, as `ComputeSessionMetrics` does, which applies this
    transform itself. The sessions must be all of their conversations: also open ones, and those whose
    metrics nobody wants. Messages and sessions may arrive in any order and in any number of batches.

    Gives `Batches` of the messages that it has found a session for, of layout `batches.MESSAGES`,
    narrowed (`keying.narrowing.narrow`), with the column `by_time`. Messages that name their session are
    passed over; those of no session are counted as `messages_of_unknown_session`.

    Attributes:
      lead_us: how long before a session begins the message may be that opened it.
      shards: how many shards the conversations are cut into, a side input; None finds out by itself.
    """

    lead_us: int = DEFAULT_LEAD_US
    shards: beam.pvalue.AsSingleton | None = None

    @no_annotations
    def expand(self, inputs: Batches | tuple[Batches, ...]) -> Batches:
        """Applies the transform to messages and sessions."""
        inputs = Batches.merged(inputs)
        shards = self.shards or number_of_shards(inputs)
        messages = inputs.batches | "KeyMessages" >> beam.ParDo(
            SplitByShard(_unassigned), shards
        ).with_output_types(tuple[int, bytes])
        # Where every message names its session, no session is keyed by conversation: that is known once
        # all messages are read, so the sessions wait.
        waiting = inputs.batches | "AnyUnassigned" >> beam.FlatMap(_number_unassigned)
        sessions = (
            inputs.batches
            # Before the step that waits, for what it waits with is kept.
            | "OfConversations" >> beam.FlatMap(_of_conversations)
            | "IfUnassigned" >> beam.FlatMap(_if_any, beam.pvalue.AsIter(waiting))
            | "KeySessions"
            >> beam.ParDo(SplitByShard(by_conversation), shards).with_output_types(
                tuple[int, bytes]
            )
        )
        assigned = (
            (messages, sessions)
            | "AllKeyed" >> beam.Flatten()
            | "GroupByConversation" >> beam.GroupByKey()
            | "Assign"
            >> beam.ParDo(_AssignShard(), self.lead_us)
            .with_output_types(pa.RecordBatch, counts=dict)
            .with_outputs(COUNTS, main="batches")
        )
        return inputs._replace(batches=assigned.batches, counts=assigned[COUNTS])


def _number_unassigned(batch: pa.RecordBatch) -> Iterable[int]:
    return [len(batch)] if kind_of(batch) == "unassigned" else []


def _of_conversations(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    if kind_of(batch) != "sessions":
        return []
    found = of_conversations(batch)
    return [narrow(found)] if len(found) else []


def _if_any(batch: pa.RecordBatch, unassigned: Iterable[int]) -> Iterable[pa.RecordBatch]:
    return [batch] if any(unassigned) else []


def _unassigned(batch: pa.RecordBatch) -> pa.RecordBatch | None:
    return batch if kind_of(batch) == "unassigned" else None


class _AssignShard(OverlappingDoFn):
    """From `(shard, encoded batches)` to the messages with their sessions, and counts."""

    stage = "assign"

    def __init__(self) -> None:
        self._coder = RecordBatchCoder()

    def tasks(self, element: tuple[int, Iterable[bytes]], extra: int) -> Iterator[Task]:
        yield functools.partial(self._assign, list(element[1]), extra)

    def _assign(self, encoded: list[bytes], lead_us: int) -> Done:
        batches = [self._coder.decode(one) for one in encoded]
        assigned, counts = assign_shard(batches, lead_us)
        stage = {"rows": sum(map(len, batches)), "bytes": sum(batch.nbytes for batch in batches)}
        return Done([] if assigned is None else [assigned], counts, stage)
