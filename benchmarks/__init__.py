"""What the job costs beside other ways to the same records; see README.md here."""
