"""Replay in any interleaving of told lines, failures, lost answers and restarts: one history."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tracking.lines import Begin, End, Metrics, Tags
from tasks.tracking.sending import Sending
from tasks.tracking.spool import Spool
from tests.support.forgetful import Forgetful

RUN = "a" * 32
VALUES = st.sampled_from([0.5, 1.0, float("nan"), -0.0, 1e300])
METRICS = st.builds(
    Metrics,
    values=st.dictionaries(st.sampled_from(["loss", "top1"]), VALUES, min_size=1),
    step=st.integers(1, 4),
    at_ms=st.integers(1, 10),
)
TAGS = st.builds(Tags, values=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")))
EVENT = st.tuples(METRICS | TAGS, st.sampled_from(["send", "send", "send and restart", "wait"]))
EVENTS = st.lists(EVENT, min_size=5, max_size=12).map(
    lambda pairs: [word for line, then in pairs for word in (line, *then.split(" and "))]
)
PLAN = st.lists(st.sampled_from(["works", "works", "fails", "is lost"]), min_size=20, max_size=40)


def begin():
    return Begin(
        name="train",
        experiment="polyspace/toy",
        location=None,
        tags={"note": "first"},
        params={"epochs": "4"},
        parent=None,
        again=False,
        at_ms=1,
    )


def attempt(sending, server):
    try:
        return sending.send(server)
    except ConnectionError:
        return False


def play(events, server):
    """Tell, send and restart as the events say, then send to the end; give what the server has."""
    with TemporaryDirectory() as folder:
        sending = Sending(Spool(Path(folder), RUN), lambda _: None, fresh=True)
        sending.spool.append(begin())
        for event in events:
            match event:
                case "send":
                    attempt(sending, server)
                case "restart":
                    sending.spool.close()
                    sending = Sending(Spool(Path(folder), RUN), lambda _: None, fresh=False)
                case "wait":
                    pass
                case line:
                    sending.spool.append(line)
        sending.spool.append(End(status="FINISHED", at_ms=20))
        while sending.pending():
            attempt(sending, server)
        sending.spool.close()
    return [run for run in server.runs.values() if run.info.lifecycle_stage == "active"]


@settings(max_examples=50, deadline=None)
@given(EVENTS, PLAN)
def test_whatever_fails_and_whenever_the_history_is_the_same(events, plan):
    told = [event for event in events if isinstance(event, Metrics | Tags)]
    (wanted,) = play(told, Forgetful())
    (found,) = play(events, Forgetful(plan))
    assert sorted(found.points) == sorted(wanted.points)
    assert len(found.points) == len(set(found.points))
    assert (found.data.tags, found.data.params) == (wanted.data.tags, wanted.data.params)
    assert found.info.status == "FINISHED"


def test_the_memory_would_show_a_point_that_is_sent_twice():
    (found,) = play([], server := Forgetful())
    metric = type("Metric", (), {"key": "loss", "step": 1, "value": 0.5})
    for _ in range(2):
        server.log_batch(found.info.run_id, metrics=[metric])
    assert len(found.points) == 2
