import sys

import pytest

from polyspace.cli import command


@pytest.fixture
def run(monkeypatch, capsys):
    """Type a command; give its exit code and what it said on stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["polyspace", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            command.main()
        said = capsys.readouterr()
        return stop.value.code, said.out, said.err

    return run
