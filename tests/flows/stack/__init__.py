"""One stack for all tests of this folder."""
