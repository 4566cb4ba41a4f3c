"""One training loop for every workload."""
