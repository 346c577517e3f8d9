"""One module per job."""
