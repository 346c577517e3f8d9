"""A hand-written plan on Polars: Parquet, Avro or CSV in, Parquet or Avro out.

The join replaces session ids by numbers. One sort follows, then turns by comparing neighbours, then sums
per session. The message id decides the order of two messages at one instant, as in the job. Polars' own
reader reads Avro, in several threads with one file each, which was the quickest of the ways tried.
"""

import concurrent.futures
import glob

import polars as pl
import polars.selectors as cs

from benchmarks.peers import command

TYPES = [
    "AgentMessageCount",
    "AverageAgentResponseTime",
    "AverageEndUserResponseTime",
    "EndUserMessageCount",
    "MaxAgentResponseTime",
    "MaxEndUserResponseTime",
]
SECOND_US = 1_000_000
MESSAGE_COLUMNS = [
    "ConversationId",
    "MessageIdentifier",
    "ServerReceivedTimestamp",
    "ActorType",
    "EntryType",
]
SESSION_COLUMNS = ["Id", "Status", "ChannelType", "EndTime"]


def scan(pattern: str, columns: list[str]) -> pl.LazyFrame:
    """The columns of the files of a pattern."""
    if pattern.endswith(".parquet"):
        return pl.scan_parquet(pattern).select(columns)
    if pattern.endswith(".csv"):
        texts = pl.scan_csv(pattern, infer_schema=False).select(columns)
        instant = cs.by_name("ServerReceivedTimestamp", require_all=False)
        return texts.with_columns(instant.str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        files = sorted(glob.glob(pattern))
        return pl.concat(pool.map(lambda f: pl.read_avro(f, columns=columns), files)).lazy()


def responses(turns_of: pl.LazyFrame, side: str) -> pl.LazyFrame:
    """Per session: number, total and longest of the responses of a side; messages come in order."""
    same_session = pl.col("session") == pl.col("session").shift()
    same_side = pl.col(side) == pl.col(side).shift()
    starts = turns_of.filter(~(same_session & same_side).fill_null(False))
    span_us = pl.when(same_session & pl.col(side)).then(
        pl.col("sent_us") - pl.col("sent_us").shift()
    )
    return (
        starts.select("session", span_us=span_us)
        .filter(pl.col("span_us").is_not_null())
        .group_by("session")
        .agg(
            pl.len().cast(pl.Int64).alias(f"{side}_responses"),
            pl.col("span_us").sum().alias(f"{side}_total_us"),
            pl.col("span_us").max().alias(f"{side}_longest_us"),
        )
    )


def plan(messages: pl.LazyFrame, sessions: pl.LazyFrame) -> pl.LazyFrame:
    """The records, sorted by session and type."""
    wanted = (
        sessions.filter(
            pl.col("Status") == "Ended",
            pl.col("EndTime").is_not_null(),
            pl.col("ChannelType") == "EmbeddedMessaging",
        )
        .select("Id")
        .sort("Id")
        .with_row_index("session")
    )
    in_order = (
        messages.filter(
            pl.col("EntryType").is_in(["Text", "Message", "MESSAGE"]),
            pl.col("ActorType").is_in(["EndUser", "Agent", "Bot", "Chatbot", "AiAgent"]),
        )
        .select(
            "ConversationId",
            "MessageIdentifier",
            sent_us=pl.col("ServerReceivedTimestamp").dt.epoch("us"),
            user=pl.col("ActorType") == "EndUser",
            agent=pl.col("ActorType") == "Agent",
        )
        .join(wanted, left_on="ConversationId", right_on="Id")
        .select("session", "sent_us", "MessageIdentifier", "user", "agent")
        .sort("session", "sent_us", "MessageIdentifier")
        .select("session", "sent_us", "user", "agent")
    )
    counts = in_order.group_by("session").agg(pl.col("user", "agent").sum().cast(pl.Int64))
    humans = in_order.filter(pl.col("user") | pl.col("agent"))
    return (
        wanted.join(counts, on="session", how="left")
        .join(responses(in_order, "user"), on="session", how="left")
        .join(responses(humans, "agent"), on="session", how="left")
        .sort("session")
        .select(
            pl.col("Id").alias("MessagingSessionId"),
            pl.lit(pl.Series([TYPES])).first().alias("MessagingSessionMetricType"),
            pl.concat_list(
                value.fill_null(0).cast(pl.Int32)
                for value in (
                    pl.col("agent"),
                    _seconds("agent_total_us", pl.col("agent_responses")),
                    _seconds("user_total_us", pl.col("user_responses")),
                    pl.col("user"),
                    _seconds("agent_longest_us", pl.lit(1)),
                    _seconds("user_longest_us", pl.lit(1)),
                )
            ).alias("MessagingSessionMetricValue"),
        )
        .explode("MessagingSessionMetricType", "MessagingSessionMetricValue")
    )


def _seconds(total_us: str, count: pl.Expr) -> pl.Expr:
    return (2 * pl.col(total_us) + count * SECOND_US) // (2 * SECOND_US * count)


def main() -> None:
    parser = command.parser("The records by Polars")
    parser.add_argument("--format", choices=["parquet", "avro"], default="parquet")
    parser.add_argument("--engine", choices=["streaming", "in-memory"], default="streaming")
    args = parser.parse_args()
    records = plan(scan(args.messages, MESSAGE_COLUMNS), scan(args.sessions, SESSION_COLUMNS))
    if args.format == "parquet":
        records.sink_parquet(args.output, engine=args.engine)
    else:
        records.collect(engine=args.engine).write_avro(args.output, compression="snappy")


if __name__ == "__main__":
    main()
