"""Classifiers of tokens; student, teachers and fusion share one, so that comparisons are fair."""
