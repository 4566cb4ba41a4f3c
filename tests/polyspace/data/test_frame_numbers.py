import av
import pytest

from polyspace.data.frame_numbers import first_loss
from tests.support.videos import moving, write_video

OPTIONS = [
    {"bf": "0"},
    {"bf": "3", "g": "12"},
    {"bf": "0", "profile": "baseline"},
    {"bf": "0", "x264-params": "cqm=jvt"},
    {"bf": "0", "x264-params": "keyint=40:intra-refresh=1"},
    {"bf": "3", "x264-params": "b-pyramid=normal:ref=5"},
]


def packets(file):
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        found = [bytes(packet) for packet in container.demux(stream) if packet.size]
        return stream.codec_context.extradata or b"", found


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_a_frame_that_others_refer_to_is_missed(tmp_path, options, ending):
    file = write_video(tmp_path / f"a.{ending}", moving(80, right=3, down=1), options=options)
    extradata, found = packets(file)

    assert first_loss(extradata, found) is None
    losses = [first_loss(extradata, found[:n] + found[n + 1 :]) for n in range(1, 40)]
    # A frame that nobody refers to has no number of its own, nor has one before a fresh start.
    assert all(loss is None or loss >= n for n, loss in enumerate(losses, 1))
    assert sum(loss == n for n, loss in enumerate(losses, 1)) >= 5


def test_without_parameters_nothing_is_missed():
    assert first_loss(b"", [b"\0\0\1\x41\x9a"]) is None
