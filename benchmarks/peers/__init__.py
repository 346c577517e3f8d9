"""Other ways to the same records, each a command of its own. None shares code with the job."""
