"""The reference: one session, message by message, in plain Python. Shares no code with the project."""

from fractions import Fraction
from math import floor

ROLES = ["EndUser", "Agent", "Bot"]


def position(message: dict) -> tuple:
    """Where a message stands in its session."""
    sequence, text = message["sequence"], message["message_id"]
    return (
        message["sent_at_us"],
        sequence is not None,
        sequence or 0,
        len(text),
        text.encode(),
        ROLES.index(message["role"]),
    )


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

    limit = session["ended_at_us"]
    if limit % 1_000_000 == 0:
        limit += 999_999
    seen, counted = set(), []
    for message in sorted(messages, key=position):
        if message["message_id"] in seen:
            continue
        seen.add(message["message_id"])
        if late_messages == "include" or message["sent_at_us"] <= limit:
            counted.append((message["role"], message["sent_at_us"]))

    humans = [(role, at) for role, at in counted if bots == "answer" or role != "Bot"]
    agent = waits(humans, "Agent", "EndUser", response_from)
    sides = [("EndUser" if role == "EndUser" else "Business", at) for role, at in counted]
    end_user = waits(sides, "EndUser", "Business", response_from)

    def seconds(total_us: int, count: int = 1) -> int:
        divisor = 1_000_000 * count
        whole, rest = divmod(total_us, divisor)
        if rounding == "floor":
            rounds_up = False
        elif rounding == "ceil":
            rounds_up = rest > 0
        else:
            rounds_up = 2 * rest >= divisor
        return min(999_999_999, whole + rounds_up)

    return {
        "AgentMessageCount": sum(role == "Agent" for role, _ in counted),
        "AverageAgentResponseTime": seconds(sum(agent), len(agent)) if agent else 0,
        "AverageEndUserResponseTime": seconds(sum(end_user), len(end_user)) if end_user else 0,
        "EndUserMessageCount": sum(role == "EndUser" for role, _ in counted),
        "MaxAgentResponseTime": seconds(max(agent, default=0)),
        "MaxEndUserResponseTime": seconds(max(end_user, default=0)),
    }


def summary(
    messages: list[dict],
    session: dict,
    *,
    response_from: str = "first_message",
    bots: str = "ignore",
    late_messages: str = "include",
) -> dict:
    """The summary row of a session, without the fields that are copied from the session's own row."""
    limit = session["ended_at_us"]
    if limit % 1_000_000 == 0:
        limit += 999_999
    distinct, seen = [], set()
    for message in sorted(messages, key=position):
        if message["message_id"] not in seen:
            seen.add(message["message_id"])
            distinct.append((message["role"], message["sent_at_us"]))
    counted = [(r, at) for r, at in distinct if late_messages == "include" or at <= limit]
    humans = [(role, at) for role, at in counted if bots == "answer" or role != "Bot"]
    sides = [("EndUser" if role == "EndUser" else "Business", at) for role, at in counted]
    row: dict = {
        "agent_messages": sum(role == "Agent" for role, _ in counted),
        "end_user_messages": sum(role == "EndUser" for role, _ in counted),
        "bot_messages": sum(role == "Bot" for role, _ in counted),
        "late_messages": sum(at > limit for _, at in distinct),
        "duplicate_messages": len(messages) - len(distinct),
    }
    for side, times in (
        ("agent", waits(humans, "Agent", "EndUser", response_from)),
        ("end_user", waits(sides, "EndUser", "Business", response_from)),
    ):
        row[f"{side}_responses"] = len(times)
        exact = Fraction(sum(times), max(1, len(times)))
        for name, value in (
            ("total", sum(times)),
            ("average", floor(exact + Fraction(1, 2))),
            ("median", disc(times, Fraction(1, 2))),
            ("p90", disc(times, Fraction(9, 10))),
            ("max", max(times, default=0)),
        ):
            row[f"{side}_response_{name}_us"] = value if times else None

    asked = [at for role, at in counted if role == "EndUser"]
    started, answered = session["started_at_us"], None
    # Since when the end user waits, at the end.
    waiting = None
    turn_of = None
    for role, at in humans:
        if role == "Agent" and turn_of == "EndUser" and answered is None:
            answered = at
        if role != "EndUser":
            waiting = None
        elif waiting is None or response_from == "last_message":
            waiting = at
        turn_of = role
    from_start = None if None in (answered, started) else answered - started
    row["first_agent_response_from_start_us"] = (
        None if from_start is None or from_start < 0 else from_start
    )
    row["first_agent_response_from_message_us"] = None if answered is None else answered - asked[0]
    row["ends_unanswered"] = waiting is not None
    row["unanswered_us"] = None if waiting is None else max(0, session["ended_at_us"] - waiting)
    return row


def disc(times: list[int], share: Fraction) -> int:
    """The least of the times that at least such a share of them does not exceed."""
    return next((t for t in sorted(times) if sum(u <= t for u in times) >= share * len(times)), 0)


def waits(counted: list[tuple[str, int]], who: str, to: str, response_from: str) -> list[int]:
    """How long `to` waited for `who`, each time, in microseconds."""
    found = []
    turn_of = first_at = last_at = None
    for side, at in counted:
        if side != turn_of:
            if side == who and turn_of == to:
                found.append(at - (first_at if response_from == "first_message" else last_at))
            turn_of, first_at = side, at
        last_at = at
    return found
