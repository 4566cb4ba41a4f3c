"""The order in which stages run; each file is a sentence."""
