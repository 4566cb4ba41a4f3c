import re

import pytest

from polyspace.errors import RecordError
from polyspace.report import page as html
from polyspace.report.exports import proof as page
from tests.support.exports import estimate, latency, write_bundle

HOSTILE = "<script>alert(1)</script>"
UNMEASURED = {"latency": None, "memory": None, "load_seconds": None}


def rendered(bundle, proof):
    return html.render(page.compose(bundle, proof))


def test_the_answer_is_one_line_of_agreement_size_and_time(proof):
    assert page.sentence(proof(agreement=139 / 140)) == (
        "fp16: the same class on 139 of 140 clips, 0.502 of the size, "
        "1.01 \N{MULTIPLICATION SIGN} the time (one clip at a time)."
    )


def test_what_was_not_measured_is_not_there_and_the_page_says_so(bundle, proof):
    text = rendered(bundle(), proof(**UNMEASURED))
    assert page.sentence(proof(**UNMEASURED)).endswith("0.502 of the size.")
    assert "Time was not measured" in text
    assert "Memory was not measured" in text
    for absent in ("(ms)", "speedup", "of the time", '<th class="number">memory', "Loading takes"):
        assert absent not in text
    whole = rendered(bundle(), proof())
    for there in ("(ms)", "speedup", "of the time", '<th class="number">memory', "Loading takes"):
        assert there in whole


def test_the_seeds_tables_hold_what_was_measured(bundle, proof, cells):
    rows = cells(rendered(bundle("bf16"), proof("bf16")))
    assert ["configuration", "memory", "file size", "reduction"] in rows
    assert ["bf16", "33 MB", "3.81 MB", "49.8 %"] in rows
    assert ["float32", "41 MB", "7.6 MB", "\N{EN DASH}"] in rows
    times = "\N{MULTIPLICATION SIGN}"
    timed = [
        "4",
        "6.00 [5.70, 6.30]",
        "3.36 [3.19, 3.53]",
        "0.56 [0.54, 0.58]",
        f"1.79 {times}",
        "25",
    ]
    assert timed in rows
    top1 = "73.6 % [66.6, 80.6]"
    assert ["top-1", top1, top1, "+0.00 [\N{MINUS SIGN}0.50, +0.50]"] in rows
    assert ["top-1, points apart", "0.00", "0.1 at most"] in rows


def test_rounds_that_differ_widely_are_doubted(bundle, proof):
    shaky = latency(4, 0.5)
    shaky["ratio"] = {"median": 0.5, "low": 0.3, "high": 0.7}
    text = rendered(bundle(), proof(latency=[latency(1, 0.5), shaky]))
    assert "differ by more than a factor of 2 (batches of 4): the machine was busy" in text
    assert "was busy" not in rendered(bundle(), proof())


def test_a_bundle_larger_than_its_source_has_a_negative_reduction(bundle, proof, cells):
    rows = cells(rendered(bundle(), proof(bytes=7_700_000, ratio=1.013)))
    assert ["fp16", "33 MB", "7.7 MB", "\N{MINUS SIGN}1.3 %"] in rows


def test_clips_whose_class_changed_are_listed_with_how_sure_the_source_was(bundle, proof, cells):
    clip = {"id": "left/1", "label": "left", "before": "left", "after": "still", "margin": 0.0123}
    text = rendered(bundle(), proof(agreement=137 / 140, changed=[clip]))
    assert "3 of 140 clips have another class than before; the first 1 are listed." in text
    assert ["left/1", "left", "left", "still", "0.012"] in cells(text)
    assert "None: all 140 clips" in rendered(bundle(), proof())


def test_thresholds_stand_beside_what_was_found(bundle, proof, cells):
    asked = {"points": 0.5, "agreement": 0.99, "mean_kl": 0.01}
    rows = cells(rendered(bundle(), proof(thresholds=asked)))
    assert ["clips with the same class", "100.0 %, 140 of 140", "99.0 % at least"] in rows
    assert ["divergence, mean", "2.3e\N{MINUS SIGN}7", "0.01 at most"] in rows


@pytest.mark.parametrize(
    ("thresholds", "kind"), [({"points": 0.0}, "better"), ({"points": None}, "open")]
)
def test_a_proof_that_could_not_fail_is_not_coloured_as_passed(bundle, proof, thresholds, kind):
    assert f'class="answer {kind}"' in rendered(bundle(), proof(thresholds=thresholds))


def test_random_weights_are_said_before_any_figure(bundle, proof):
    weights = {"weights": {"videomae": {"source": "random-tiny", "random": True}}}
    text = rendered(bundle(provenance={"converters": weights}), proof())
    assert text.index("Random weights: videomae.") < text.index('class="answer')
    assert 'class="banner"' not in rendered(bundle(), proof())


def test_provenance_names_checkpoints_command_and_versions(bundle, proof):
    text = rendered(bundle(), proof())
    for part in ("12" * 32, "34" * 32, "ab" * 32, "bundle --formats fp16 int8", "torch 2.13.0"):
        assert part in text


def test_data_is_never_markup(bundle, proof):
    clip = {"id": HOSTILE, "label": HOSTILE, "before": HOSTILE, "after": HOSTILE, "margin": 0.1}
    changes = {"device": HOSTILE, "command": HOSTILE, "dataset": HOSTILE, "changed": [clip]}
    text = rendered(bundle(class_names=[HOSTILE]), proof(agreement=0.5, **changes))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_page_is_whole_and_the_same_records_give_the_same_bytes(tmp_path):
    folder = write_bundle(tmp_path / "fp16", top1_export=estimate(0.5))
    path = page.write(folder)
    first = path.read_bytes()
    assert path == folder / "proof.html"
    links = re.findall(r'(?:src|href)="([^"]*)"', first.decode())
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(rb"url\(|@import|<script", first)
    assert page.write(folder).read_bytes() == first


def test_a_proof_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    folder = write_bundle(tmp_path, schema=1)
    with pytest.raises(RecordError, match=r"proof\.json: schema: .*another version"):
        page.write(folder)
    assert not (folder / "proof.html").exists()
