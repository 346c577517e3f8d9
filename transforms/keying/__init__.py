"""Which session a message belongs to, and which shard a session."""
