"""What is known of a run, on one page that opens anywhere, or as data."""
