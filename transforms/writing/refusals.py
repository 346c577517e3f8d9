"""What a run refuses to publish: too many rejects, sessions without one message. Pure; no Beam."""

import itertools
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from transforms.batches import INPUTS, Counts
from transforms.errors import NoMessagesError, TooManyRejectsError
from transforms.examples import Example, least
from transforms.rejects import rejects_in, tell_reasons, tell_remedy


def check_rejects(counts: Counts, max_ratio: float, rejects: Iterable[pa.RecordBatch]) -> None:
    """Checks that not too many rows were rejected.

    Args:
      counts: what became of all rows.
      max_ratio: the share of the rows of one input that may be rejects.
      rejects: of each input and reason one at least; of layout `REJECTS`.

    Raises:
      TooManyRejectsError: more than `max_ratio` of the rows of one input.
    """
    for rows in INPUTS:
        read = counts.get(f"{rows}_read", 0)
        reasons = {
            name.removeprefix(f"{rows}_rejected_"): number
            for name, number in counts.items()
            if name.startswith(f"{rows}_rejected_")
        }
        rejected = sum(reasons.values())
        if read and rejected / read > max_ratio:
            examples = [
                one
                for batch in rejects
                for one in rejects_in(
                    batch.filter(pc.equal(batch["input"].cast(pa.string()), rows))
                )
            ]
            raise TooManyRejectsError(
                f"{rejected:,} of {read:,} {rows} rejected, more than max_reject_ratio {max_ratio:g} "
                f"allows: {tell_reasons(reasons, examples)}; nothing was published. "
                f"{tell_remedy(reasons)}, or raise --max_reject_ratio to accept it and see the rejects"
            )


def check_messages(counts: Counts, examples: Iterable[Example], allowed: bool) -> None:
    """Checks that messages and sessions belong together.

    Args:
      counts: what became of all rows.
      examples: ids of both, in any order.
      allowed: whether it may be that no message counts.

    Raises:
      NoMessagesError: sessions are reported, and not one message counts.
    """
    reported = counts.get("sessions_reported", 0)
    if allowed or not reported or counts.get("messages_counted"):
        return
    fates = [
        f"{name.removeprefix('messages_').replace('_', ' ')} {number:,}"
        for name, number in counts.items()
        if name.startswith("messages_") and name != "messages_read"
    ]
    read = counts.get("messages_read", 0)
    shown = {
        of: ", ".join(example.id for example in some)
        for of, some in itertools.groupby(least(examples), lambda example: example.of)
    }
    beside = ""
    if len(shown) > 1:
        beside = f"; messages name {shown['messages']}, sessions are {shown['sessions']}"
    raise NoMessagesError(
        f"sessions are reported ({reported:,}) and not one message counts: "
        + (f"of {read:,} messages read, {', '.join(fates)}" if read else "there are no messages")
        + f"{beside}; nothing was published. Give the messages of these sessions, or "
        "--allow_no_messages"
    )
