"""Pictures of the report, one idea a file; each function gives a matplotlib figure."""
