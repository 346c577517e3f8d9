"""The reference: one session, message by message, in plain Python. Shares no code with the project."""

from fractions import Fraction
from math import ceil, floor

ROLES = ["EndUser", "Agent", "Bot"]


def metrics(
    messages: list[dict],
    session: dict,
    *,
    response_from: str = "first_message",
    bots: str = "ignore",
    rounding: str = "half_up",
    late_messages: str = "include",
) -> dict[str, int]:
    """The six values of a session whose messages come in any order, duplicates among them."""

    def position(message: dict) -> tuple:
        sequence, text = message["sequence"], message["message_id"]
        return (
            message["sent_at_us"],
            sequence is not None,
            sequence or 0,
            len(text),
            text.encode(),
            ROLES.index(message["role"]),
        )

    limit = session["ended_at_us"]
    if limit % 1_000_000 == 0:
        limit += 999_999
    seen, told = set(), []
    for message in sorted(messages, key=position):
        if message["message_id"] in seen:
            continue
        seen.add(message["message_id"])
        if late_messages == "include" or message["sent_at_us"] <= limit:
            told.append((message["role"], message["sent_at_us"]))

    humans = [(role, at) for role, at in told if bots == "answer" or role != "Bot"]
    agent = waits(humans, "Agent", "EndUser", response_from)
    sides = [("EndUser" if role == "EndUser" else "Business", at) for role, at in told]
    end_user = waits(sides, "EndUser", "Business", response_from)

    def seconds(total_us: int, count: int = 1) -> int:
        exact = Fraction(total_us, 1_000_000 * count)
        if rounding == "half_up":
            exact += Fraction(1, 2)
        return min(999_999_999, ceil(exact) if rounding == "ceil" else floor(exact))

    return {
        "AgentMessageCount": sum(role == "Agent" for role, _ in told),
        "AverageAgentResponseTime": seconds(sum(agent), len(agent)) if agent else 0,
        "AverageEndUserResponseTime": seconds(sum(end_user), len(end_user)) if end_user else 0,
        "EndUserMessageCount": sum(role == "EndUser" for role, _ in told),
        "MaxAgentResponseTime": seconds(max(agent, default=0)),
        "MaxEndUserResponseTime": seconds(max(end_user, default=0)),
    }


def waits(told: list[tuple[str, int]], who: str, to: str, response_from: str) -> list[int]:
    """How long `to` waited for `who`, each time, in microseconds."""
    found = []
    turn_of = first_at = last_at = None
    for side, at in told:
        if side != turn_of:
            if side == who and turn_of == to:
                found.append(at - (first_at if response_from == "first_message" else last_at))
            turn_of, first_at = side, at
        last_at = at
    return found
