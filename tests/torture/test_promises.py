"""The promises of the torture, at a small scale; `make torture` tries them at the full one."""

import pytest

from tests.torture.outcome import QUICK
from tests.torture.run import PROMISES, torture

# A lost run is noticed after minutes, which nothing shortens; tests/flows/test_watching.py has a
# clock of its own, and tests/flows/stack services of its own.
MINUTES = ("scale", "losses", "sleeps")


@pytest.mark.parametrize("promise", [name for name in PROMISES if name not in MINUTES])
def test_promises_are_kept(promise, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "set again by the torture, and back by this")
    for outcome in torture(promise, QUICK):
        if outcome.skipped:
            pytest.skip(outcome.skipped)
        assert outcome.failures == ()
        assert outcome.attempts
