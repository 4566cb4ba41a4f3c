"""What inference costs: time, work and memory from a video file to the chances of its classes."""
