"""The weights of any checkpoint, whoever wrote it, without the module that they belong to."""
