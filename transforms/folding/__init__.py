"""One shard: its messages in order and without duplicates, their turns and responses, the metrics."""
