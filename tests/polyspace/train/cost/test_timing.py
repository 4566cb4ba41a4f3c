import torch

from polyspace.errors import VideoError
from polyspace.train.cost import bench, routes, timing
from polyspace.train.cost.line import Line
from polyspace.train.cost.rows import CLASSIFY, DECODE, ENCODE, PREPROCESS, TOTAL, Span
from polyspace.train.cost.timing import Effort
from polyspace.train.fusion_workload import predict, translated
from tests.support.filmed import STUDENT, TEACHERS, distil
from tests.support.stages import follow

QUICK = Effort(batch=2, repeats=1, videos=2, processes=1, seconds=0.0)


def test_a_span_lies_around_the_median():
    span = Span.of([n / 1000 for n in range(101)])
    assert (round(span.low, 6), round(span.median, 6), round(span.high, 6)) == (10, 50, 90)


def test_paths_take_turns_and_the_first_rounds_are_forgotten():
    order = []

    def path(name):
        def once():
            order.append(name)
            return {"total": float(len(order))}

        return once

    rounds, taken = follow(timing.in_turns({"a": path("a"), "b": path("b")}, QUICK))
    assert rounds == list(range(1, timing.WARM_UP + timing.FEWEST + 1))
    assert order == ["a", "b"] * len(rounds)
    first = 2 * timing.WARM_UP + 1
    assert taken.times["a"][0] == {"total": float(first)}
    assert len(taken.times["a"]) == len(taken.times["b"]) == timing.FEWEST


def test_repeats_end_at_their_number_where_there_is_time():
    effort = Effort(repeats=7, seconds=60.0)
    _, taken = follow(timing.in_turns({"a": lambda: {"total": 0.0}}, effort))
    assert len(taken.times["a"]) == 7


def test_a_path_that_fails_costs_itself_alone():
    def broken():
        raise torch.OutOfMemoryError("CUDA out of memory\nand more")

    def gone():
        raise VideoError("a.mp4: isn't there", "missing")

    paths = {"good": lambda: {"total": 1.0}, "broken": broken, "gone": gone}
    _, taken = follow(timing.in_turns(paths, QUICK))
    assert set(taken.times) == {"good"}
    assert taken.failed == {"broken": "CUDA out of memory", "gone": "a.mp4: isn't there"}


def line_and_reel(filmed):
    """Put the fusion's path together by hand."""
    clips = filmed.clips()
    model = distil(clips, TEACHERS)
    table = bench.equip(clips, (STUDENT,), {}, filmed.root, QUICK)
    shapes = {name: clips.shape(name) for name in (STUDENT, *TEACHERS)}
    route = next(route for route in routes.routes(model, shapes) if route.name == "fusion")
    line = Line(table.encoders, routes.build(route, model), clips.views, clips.device)
    assert table.reel is not None
    return clips, model, line, table.reel


def test_what_is_timed_ends_at_the_chances_that_the_stored_features_give(filmed):
    clips, model, line, reel = line_and_reel(filmed)
    seen = [clip for _, clip in zip(reel.names, reel_clips(reel, line), strict=True)]
    chances = line.classify(line.encode(line.feed(seen)))
    rows = clips.rows((STUDENT, *TEACHERS))
    said = predict(model.fusion, translated(clips, model.translator), rows, batch=4)
    places = [clips.ids.index(name) for name in reel.names]
    # Stored features are rounded to float16.
    torch.testing.assert_close(chances, said.logits.softmax(-1)[places], atol=2e-3, rtol=0)


def reel_clips(reel, line):
    with reel.decoded(line, clips=len(reel.names)) as clips:
        return list(clips)


def test_the_whole_way_takes_no_less_than_its_parts(filmed):
    _, _, line, reel = line_and_reel(filmed)
    with timing.from_files(line, reel) as once:
        parts = once()
    assert set(parts) == {DECODE, PREPROCESS, ENCODE, CLASSIFY, TOTAL}
    total = parts.pop(TOTAL)
    assert total >= sum(parts.values()) > 0


def test_batches_are_full_and_as_many_as_fit(filmed, monkeypatch):
    _, _, line, reel = line_and_reel(filmed)
    sizes = []
    monkeypatch.setattr(Line, "run", lambda self, clips: sizes.append(len(clips)))
    effort = Effort(batch=2, processes=1, seconds=0.6)
    assert timing.throughput(line, reel, effort, latency=0.1) > 0
    assert sizes == [2, 2, 2, 2]  # the first one warms up
    sizes.clear()
    timing.throughput(line, reel, effort, latency=timing.WARMED)
    assert sizes == [2]


def test_a_reel_shows_every_video_in_turn(filmed):
    clips = filmed.clips()
    table = bench.equip(clips, TEACHERS, {}, filmed.root, QUICK)
    assert table.reel is not None
    line = Line(table.encoders, torch.nn.Identity(), 1, clips.device)
    with table.reel.decoded(line, clips=3) as decoded:
        first, second, third = (clip.frames for clip in decoded)
    assert (first == third).all()
    assert (first != second).any()
