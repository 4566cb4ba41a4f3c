"""What `polyspace doctor` looks at."""
