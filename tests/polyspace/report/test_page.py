import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from polyspace.errors import RecordError
from polyspace.report import evaluation
from tests.support.records import SIZES, write_records

HOSTILE = "<script>alert('left')</script>"
PICTURES = 16
VOID = {"meta", "link", "img"}

pytestmark = pytest.mark.xdist_group("report")


class Reader(HTMLParser):
    """Collects tags and links, and checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def compose(found, sizes=SIZES):
    material = evaluation.read(found.folder, exports=found.exports, sizes=sizes)
    return evaluation.write(material, found.folder / "out").read_text()


@pytest.fixture
def plain(reported):
    """The page of a run in which nothing is out of the ordinary."""
    return (reported / "report.html").read_text()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of a run whose every word is markup, and whose weights are random."""
    found = write_records(
        tmp_path_factory.mktemp("hostile"),
        names=(HOSTILE, "right", "$still"),
        coverage={
            "clips": 25,
            "evaluated": 24,
            "share": 0.96,
            "quarantined": {HOSTILE: HOSTILE},
            "unlabelled": 0,
        },
        command=HOSTILE,
        random_weights=[HOSTILE],
    )
    return compose(found, {HOSTILE: 10})


@pytest.fixture
def written(tmp_path):
    """Give the page of a run, with some entries of its evaluation changed."""

    def write(**changes):
        return compose(write_records(tmp_path, **changes))

    return write


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def pictures(text):
    return [
        ElementTree.fromstring(base64.b64decode(encoded))
        for encoded in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", text)
    ]


def test_the_page_is_whole_and_asks_for_nothing_from_outside(plain):
    reader = read(plain)
    assert all(source.startswith(("data:", "#")) for source in reader.sources)
    assert not re.search(r"url\(|@import", plain)
    assert {"script", "iframe", "object"}.isdisjoint(reader.tags)
    assert len(pictures(plain)) == PICTURES


def test_every_picture_says_how_many_seeds_device_store_and_command(plain):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", plain)
    assert len(captions) == PICTURES
    for caption in (text.replace("\N{NO-BREAK SPACE}", " ") for text in captions):
        assert re.search(r"n = \d+", caption)
        assert "seeds 0, 1, 2; cpu; features abababababab" in caption
        assert ">python -m polyspace.train.evaluate --dataset motion</code>" in caption


def test_the_same_records_give_the_same_bytes(plain, written):
    assert written() == plain


def test_data_is_never_markup(hostile):
    assert "script" not in read(hostile).tags
    assert "&lt;script&gt;" in hostile
    assert b"<script" not in b"".join(ElementTree.tostring(svg) for svg in pictures(hostile))


def test_the_answer_stands_first_and_is_coloured_by_its_verdict(plain):
    assert 'class="answer better"' in plain
    assert plain.index("Fusion reaches") < plain.index("<section")


def test_quarantined_clips_stand_there_with_their_reasons(plain):
    assert "left/broken-0.mp4" in plain
    assert "has no video stream" in plain


def test_random_weights_are_announced_on_top(plain, hostile):
    assert 'class="banner"' not in plain
    assert hostile.index('class="banner"') < hostile.index('class="answer')


def test_a_hundred_classes_and_classes_without_clips_can_be_drawn(written):
    names = tuple(f"a class with a rather long name, number {n}" for n in range(101))
    assert len(pictures(written(names=names, clips=90))) == PICTURES


def test_a_missing_record_leaves_no_page(tmp_path):
    found = write_records(tmp_path)
    found.exports.unlink()
    with pytest.raises(RecordError, match=r"exports\.json"):
        compose(found)
    assert not (tmp_path / "out").exists()
