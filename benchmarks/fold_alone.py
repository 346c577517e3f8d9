"""Times the fold alone: from messages in memory, in order, to the six values of each session.

python -m benchmarks.fold_alone --shards N --repeats N

Runs on one core, if the system lets a process choose its cores; prints JSON.
"""

import argparse
import json
import os
import time

import numpy as np
import pyarrow as pa

from benchmarks import load
from schemas import DEFAULT_METRICS
from transforms.batches import AGENT, BOT, END_USER, SESSIONS
from transforms.folding.metrics import METRICS
from transforms.folding.turns import Messages, fold
from transforms.policy import Policy

SHARD_MESSAGES = 400_000
SENDERS = np.array([END_USER, AGENT, BOT], np.int8)


def time_fold(num_shards: int, repeats: int) -> dict[str, object]:
    """Folds shards of the job's size `1 + repeats` times; gives the seconds of all but the first time."""
    random = np.random.default_rng(1)
    num_sessions = SHARD_MESSAGES // load.MESSAGES_PER_SESSION
    shards = []
    for _ in range(num_shards):
        made = load.talks(random, num_sessions, SHARD_MESSAGES)
        counted = made.role != load.SYSTEM
        session = made.session[counted].astype(np.int32)
        sent_at_us = made.sent_at_ms[counted] * 1000
        shards.append(Messages(session, sent_at_us, SENDERS[made.role[counted]]))
    policy, sessions = Policy(), pa.RecordBatch.from_pylist([], SESSIONS)
    wall_s = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        for messages in shards:
            folded = fold(messages, num_sessions, policy)
            for name in DEFAULT_METRICS:
                METRICS[name].values(folded, sessions, policy)
        wall_s.append(round(time.perf_counter() - start, 4))
    num_messages = sum(len(messages.session) for messages in shards)
    return {"messages": num_messages, "shards": num_shards, "wall_s": wall_s[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(time_fold(args.shards, args.repeats)))


if __name__ == "__main__":
    main()
