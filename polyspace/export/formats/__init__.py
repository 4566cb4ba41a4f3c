"""The forms in which a model leaves: what each writes, and how it is run again."""
