"""What is staged, put in place all or nothing."""
