"""The policy: what Salesforce leaves open about its metrics, and which sessions are asked for."""

import dataclasses
import itertools
from typing import Any, Literal, get_args

from transforms.instants import SECOND_US

ResponseFrom = Literal["first_message", "last_message"]
Bots = Literal["ignore", "answer"]
LateMessages = Literal["include", "exclude"]
Rounding = Literal["half_up", "floor", "ceil"]

SWITCHES: dict[str, tuple[Any, ...]] = {
    "response_from": get_args(ResponseFrom),
    "bots": get_args(Bots),
    "late_messages": get_args(LateMessages),
    "rounding": get_args(Rounding),
}
"""The values of each switch, its default first.

Rounding comes last because turns and responses do not depend on it: policies that differ in rounding
alone are neighbours in `policies`, and share one fold.
"""

RULES = ("response_from", "bots", "late_messages")
"""The switches that times depend on; a summary row has each as `policy_...`."""


DEFAULT_LEAD_US = 60 * SECOND_US


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """How the metrics are computed, and for which sessions. `docs/decisions.md` has the reasons.

    >>> Policy(bots="answer").response_from
    'first_message'
    >>> Policy(bots="reply")
    Traceback (most recent call last):
    ValueError: bots is 'reply'; it must be one of ignore, answer

    Attributes:
      response_from: which message of the other side's turn a response is timed from.
      bots: `ignore` leaves bots out of the agent's clock before turns are formed; `answer` lets a
        bot's turn answer the end user, so an agent's turn right after it is no response.
      rounding: of averages and maxima to whole seconds.
      late_messages: whether messages later than the session's end count.
      closed_from_us, closed_until_us: only sessions with `ended_at` in this half-open range.
      created_from_us, created_until_us: only sessions with `created_at` in this half-open range.
        All four are microseconds since the epoch, UTC; None is no bound.
      session_lead_us: how long before its session begins a message may be that opened it, for messages
        that name only their conversation.

    Raises:
      ValueError: a switch has a value that is not among `SWITCHES`.
    """

    response_from: ResponseFrom = "first_message"
    bots: Bots = "ignore"
    rounding: Rounding = "half_up"
    late_messages: LateMessages = "include"
    closed_from_us: int | None = None
    closed_until_us: int | None = None
    created_from_us: int | None = None
    created_until_us: int | None = None
    session_lead_us: int = DEFAULT_LEAD_US

    def __post_init__(self) -> None:
        for name, values in SWITCHES.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(values)}"
                )


def policies(base: Policy) -> list[Policy]:
    """Every combination of the switches, for the sessions that `base` asks for; the defaults first.

    >>> every = policies(Policy(closed_from_us=0))
    >>> len(every), every[0] == Policy(closed_from_us=0)
    (24, True)
    >>> every[-1] == Policy(
    ...     response_from="last_message",
    ...     bots="answer",
    ...     late_messages="exclude",
    ...     rounding="ceil",
    ...     closed_from_us=0,
    ... )
    True
    """
    return [
        dataclasses.replace(base, **dict(zip(SWITCHES, values, strict=True)))
        for values in itertools.product(*SWITCHES.values())
    ]


def switches_changed(policy: Policy) -> list[str]:
    """The names of the switches that do not have their default.

    >>> switches_changed(Policy(bots="answer", rounding="half_up"))
    ['bots']
    """
    return [name for name, values in SWITCHES.items() if getattr(policy, name) != values[0]]
