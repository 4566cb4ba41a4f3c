"""The records that the stages leave, read back as checked values."""
