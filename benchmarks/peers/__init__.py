"""The same records by other means, each a command of its own. None of them shares code with the job."""
