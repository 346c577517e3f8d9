"""One SQL statement on DuckDB: Parquet, JSON Lines or CSV in, the texts maybe as gzip; Parquet out.

The join replaces session ids by numbers, so that windows and groups work on numbers. One window counts
the messages of each side so far. The count before a side's message is its group: the group holds the
other side's messages since then and the response, if any, so that no second sort is needed to time the
response. The message id decides the order of two messages at one instant, as in the job.
"""

import duckdb

from benchmarks.peers import command

PARQUET = "read_parquet({pattern})"
JSON_LINES = "read_json({pattern}, format = 'newline_delimited', columns = {columns})"
CSV = "read_csv({pattern}, header = true, quote = '\"', escape = '\"', types = {columns})"
MESSAGE_COLUMNS = """{
    ConversationId: 'VARCHAR', MessageIdentifier: 'VARCHAR', ServerReceivedTimestamp: 'TIMESTAMP',
    ActorType: 'VARCHAR', EntryType: 'VARCHAR'
}"""
SESSION_COLUMNS = "{Id: 'VARCHAR', Status: 'VARCHAR', ChannelType: 'VARCHAR', EndTime: 'VARCHAR'}"

SQL = """
COPY (
    WITH wanted AS (
        SELECT Id AS session_id, row_number() OVER () AS session
        FROM {sessions}
        WHERE Status = 'Ended' AND EndTime IS NOT NULL AND ChannelType = 'EmbeddedMessaging'
    ),
    messages AS (
        SELECT
            session,
            epoch_us(ServerReceivedTimestamp) AS sent_us,
            MessageIdentifier AS message_id,
            ActorType = 'EndUser' AS by_user,
            ActorType = 'Agent' AS by_agent
        FROM {messages}
        JOIN wanted ON ConversationId = session_id
        WHERE EntryType IN ('Text', 'Message', 'MESSAGE')
            AND ActorType IN ('EndUser', 'Agent', 'Bot', 'Chatbot', 'AiAgent')
    ),
    numbered AS (
        SELECT
            *,
            count(*) FILTER (by_user) OVER so_far - by_user::INT AS users_before,
            count(*) FILTER (by_agent) OVER so_far - by_agent::INT AS agents_before
        FROM messages
        WINDOW so_far AS (
            PARTITION BY session ORDER BY sent_us, message_id ROWS UNBOUNDED PRECEDING
        )
    ),
    user_spans AS (
        SELECT
            session,
            count(*) FILTER (by_user) AS messages,
            max(sent_us) FILTER (by_user) - min(sent_us) FILTER (NOT by_user) AS span_us
        FROM numbered
        GROUP BY session, users_before
    ),
    agent_spans AS (
        SELECT
            session,
            count(*) FILTER (by_agent) AS messages,
            max(sent_us) FILTER (by_agent) - min(sent_us) FILTER (NOT by_agent) AS span_us
        FROM numbered
        WHERE by_user OR by_agent
        GROUP BY session, agents_before
    ),
    users AS (
        SELECT
            session,
            sum(messages) AS messages,
            count(span_us) AS responses,
            sum(span_us)::BIGINT AS total_us,
            max(span_us) AS longest_us
        FROM user_spans
        GROUP BY session
    ),
    agents AS (
        SELECT
            session,
            sum(messages) AS messages,
            count(span_us) AS responses,
            sum(span_us)::BIGINT AS total_us,
            max(span_us) AS longest_us
        FROM agent_spans
        GROUP BY session
    )
    SELECT
        session_id AS MessagingSessionId,
        unnest([
            'AgentMessageCount', 'AverageAgentResponseTime', 'AverageEndUserResponseTime',
            'EndUserMessageCount', 'MaxAgentResponseTime', 'MaxEndUserResponseTime'
        ]) AS MessagingSessionMetricType,
        unnest([
            coalesce(agents.messages, 0),
            coalesce(
                (2 * agents.total_us + 1000000 * agents.responses)
                // (2000000 * agents.responses), 0),
            coalesce(
                (2 * users.total_us + 1000000 * users.responses) // (2000000 * users.responses), 0),
            coalesce(users.messages, 0),
            coalesce((agents.longest_us + 500000) // 1000000, 0),
            coalesce((users.longest_us + 500000) // 1000000, 0)
        ])::INTEGER AS MessagingSessionMetricValue
    FROM wanted
    LEFT JOIN users USING (session)
    LEFT JOIN agents USING (session)
    ORDER BY 1, 2
) TO {output} (FORMAT parquet)
"""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def statement(messages: str, sessions: str, output: str) -> str:
    """The SQL for some files; the suffix gives the format."""
    source = {"parquet": PARQUET, "jsonl": JSON_LINES, "csv": CSV}[
        messages.removesuffix(".gz").rpartition(".")[2]
    ]
    return SQL.format(
        messages=source.format(pattern=_text(messages), columns=MESSAGE_COLUMNS),
        sessions=source.format(pattern=_text(sessions), columns=SESSION_COLUMNS),
        output=_text(output),
    )


def main() -> None:
    args = command.parser("The records by DuckDB").parse_args()
    duckdb.connect().execute(statement(args.messages, args.sessions, args.output))


if __name__ == "__main__":
    main()
