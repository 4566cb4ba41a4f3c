"""How a fusion brings the teachers' translations into the student's tokens."""
