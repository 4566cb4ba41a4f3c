"""The sections of a report on one evaluation, one question of a reader's each."""
