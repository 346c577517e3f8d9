"""The cost of the job beside other ways to the same records; see README.md in this folder."""
