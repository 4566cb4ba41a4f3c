import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import polyspace
from polyspace.data import reload
from polyspace.data.clips import Request
from polyspace.data.decode import decode
from polyspace.data.preprocess import prepare
from polyspace.errors import (
    CheckpointError,
    ConfigError,
    ExportError,
    InputError,
    PrecisionError,
    StoreError,
    VideoError,
)
from polyspace.export.contents import CARD, CONFIG, seal, write_json
from polyspace.export.formats import kinds
from polyspace.export.formats.kinds import Loaded
from polyspace.export.formats.weights import TYPES
from polyspace.export.loading import open_verified
from polyspace.inference.predictor import CLIPS, LOOKS, Predictor
from polyspace.inference.student import Student
from polyspace.train import videos
from tests.support.bundles import write_bundle
from tests.support.filmed import distil, film
from tests.support.hostile import good
from tests.support.videos import numbered, write_video

CPU = torch.device("cpu")
FRAMES = 12
"""Of every video of `make_ucf101`."""
TOLERANCES = {"fp32": 1e-6, "fp16": 1e-3, "mixed": 1e-3, "bf16": 0.03, "int8": 0.03}
"""Of a probability, by the type that weights are stored in."""
ROUNDING = 5e-4
"""More than what float16 storage makes of a probability."""


@pytest.fixture(scope="module")
def predictor(bundle):
    return polyspace.load(bundle, device="cpu")


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """Videos that are looked at twice, 0.2 s each; their features and a bundle."""
    folder = tmp_path_factory.mktemp("twice")
    looks = {"segments": 2, "window_seconds": 0.2}
    seen = film(folder, student="transnetv2", teachers=("motion_vectors",), **looks)
    model = distil(seen.clips(), ("motion_vectors",))
    write_bundle(folder / "fp32", model, seen.clips(), "fp32")
    return seen, folder / "fp32"


def stored(clips, name="transnetv2"):
    """Give the stored features of all clips [clip view time space dim], and their files' ids."""
    tokens = clips.tokens(name, clips.rows((name,)))
    return tokens.unflatten(0, (-1, clips.views)), clips.store.ids


def files(seen):
    found = videos.find(seen.clips(), seen.root)
    return [seen.root / found.clips[name].path for name in seen.clips().store.ids]


def stacked(results):
    """Give the chances of videos that could all be read."""
    assert not [result for result in results if isinstance(result, VideoError)]
    return torch.stack(results)


def assert_rounded(found, expected):
    torch.testing.assert_close(found, expected, rtol=0.0, atol=ROUNDING)


def pictures(file):
    """Decode all frames of a file."""
    clip = decode(file.parent, Request(file.stem, file.name, (FRAMES,)))
    assert len(clip.frames) == FRAMES
    return clip.frames


def test_features_get_the_chances_that_the_model_itself_gives_them(predictor, model, filmed):
    tokens, _ = stored(filmed.clips())
    with torch.no_grad():
        expected = model(tokens[:, 0]).logits.softmax(-1)
    torch.testing.assert_close(predictor(tokens[:, 0]), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_features_may_be_of_any_narrow_type_as_tensor_or_array(predictor, filmed, dtype):
    tokens = stored(filmed.clips())[0][:, 0].to(dtype)
    chances = predictor(tokens)
    assert chances.dtype == torch.float32
    assert torch.equal(chances, predictor(tokens.float()))
    if dtype != torch.bfloat16:
        assert torch.equal(chances, predictor(tokens.numpy()))


def test_chances_add_up_to_one(predictor, filmed):
    chances = predictor(stored(filmed.clips())[0])
    assert chances.shape == (4, 2)
    torch.testing.assert_close(chances.sum(1), torch.ones(4))


def test_frames_get_the_chances_of_their_videos_stored_features(predictor, filmed):
    tokens, _ = stored(filmed.clips())
    frames = np.stack([pictures(file) for file in files(filmed)])
    assert_rounded(predictor(frames), predictor(tokens))


def test_videos_get_the_chances_of_their_stored_features(predictor, filmed):
    tokens, _ = stored(filmed.clips())
    seen = predictor.videos(files(filmed), processes=1)
    assert_rounded(stacked(seen), predictor(tokens))


def test_the_fixtures_could_tell_clips_apart(predictor, filmed):
    chances = predictor(stored(filmed.clips())[0])
    assert float(chances[:, 0].sort().values.diff().min()) > 4 * ROUNDING


def test_one_clip_gets_the_answer_that_it_gets_among_others(predictor, filmed):
    tokens = stored(filmed.clips())[0]
    many = tokens.repeat(LOOKS // 2, 1, 1, 1, 1)  # more than go in at a time
    alone = torch.cat([predictor(clip[None]) for clip in tokens])
    torch.testing.assert_close(predictor(many), alone.repeat(LOOKS // 2, 1))
    frames = np.stack([pictures(file) for file in files(filmed)] * CLIPS)[: CLIPS + 1]
    torch.testing.assert_close(predictor(frames)[-1:], predictor(frames[-1]))


def test_frames_may_be_of_any_size_and_number(predictor):
    for count, height, width in ((1, 20, 31), (2, 48, 27), (90, 64, 48)):
        frames = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
        assert torch.isfinite(predictor(frames)).all()


def test_views_are_averaged_over_their_softmaxes(twice):
    seen, bundle = twice
    model = polyspace.load(bundle, device="cpu")
    tokens, _ = stored(seen.clips())
    assert tokens.shape[1] == 2
    each = torch.stack([model(tokens[:, view]) for view in (0, 1)])
    assert not torch.allclose(each[0], each[1], atol=1e-3)
    torch.testing.assert_close(model(tokens), each.mean(0))
    watched = stacked(model.videos(files(seen), processes=0))
    assert_rounded(watched, model(tokens))


def test_frames_have_no_times_unless_their_rate_is_given(twice):
    seen, bundle = twice
    model = polyspace.load(bundle, device="cpu")
    file = files(seen)[0]
    with pytest.raises(InputError, match=r"windows of 0\.2 s, and frames have no times"):
        model(pictures(file))
    watched = stacked(model.videos([file], processes=0))
    torch.testing.assert_close(model(pictures(file), rate_hz=25.0), watched)


def test_the_student_is_loaded_when_it_is_needed_and_not_before(bundle, filmed, monkeypatch):
    def load(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(reload, "load", load)
    model = polyspace.load(bundle, device="cpu")
    model(stored(filmed.clips())[0])
    with pytest.raises(AssertionError, match="loaded"):
        model(pictures(files(filmed)[0]))


def test_videos_that_cannot_be_read_leave_their_reason_in_their_place(predictor, filmed, tmp_path):
    (tmp_path / "text.mp4").write_text("no video " * 99)
    outside = good(tmp_path / "outside.mp4")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.mp4").symlink_to(outside)
    file = files(filmed)[0]
    asked = [tmp_path / "text.mp4", file, tmp_path / "gone.mp4", tmp_path / "folder"]
    bad, good_one, gone, link = predictor.videos(asked, processes=1)
    reasons = [error.reason for error in (bad, gone, link) if isinstance(error, VideoError)]
    assert reasons == ["format", "missing", "path"]
    assert str(bad).startswith(f"{tmp_path / 'text.mp4'}: is damaged at its head")
    torch.testing.assert_close(stacked([good_one]), predictor(pictures(file)))


def test_more_videos_than_a_batch_keep_their_order(predictor, tmp_path):
    for number in range(CLIPS + 2):
        write_video(tmp_path / f"{number:02d}.mp4", numbered(8)[: number % 4 + 3])
    (tmp_path / "03.mp4").write_bytes(b"")
    together = predictor.videos([tmp_path], processes=2)
    assert isinstance(together.pop(3), VideoError)
    names = [tmp_path / f"{number:02d}.mp4" for number in range(CLIPS + 2) if number != 3]
    alone = stacked([predictor.videos([name], processes=0)[0] for name in names])
    torch.testing.assert_close(stacked(together), alone)


def test_nothing_gets_no_answer(predictor, filmed):
    shape = stored(filmed.clips())[0].shape[2:]
    assert predictor(torch.zeros(0, *shape)).shape == (0, 2)
    assert predictor(torch.zeros(0, 5, 8, 8, 3, dtype=torch.uint8)).shape == (0, 2)
    assert predictor.videos([]) == []


def test_the_likeliest_classes_come_first(predictor, filmed):
    tokens = stored(filmed.clips())[0]
    for row, guesses in zip(predictor(tokens), predictor.top(tokens, k=9), strict=True):
        assert [guess.name for guess in guesses] == [
            predictor.class_names[place] for place in row.argsort(descending=True)
        ]
        assert [guess.probability for guess in guesses] == sorted(row.tolist(), reverse=True)
    assert [len(guesses) for guesses in predictor.top(tokens, k=1)] == [1, 1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_other_types_are_refused(predictor, dtype):
    with pytest.raises(InputError, match=r"found torch.*: expected features .* or frames"):
        predictor(torch.zeros(1, 4, 4, 3, dtype=dtype))


def test_a_bundle_says_what_it_is(predictor, bundle):
    assert predictor.folder == bundle
    assert predictor.class_names == ("ClassA", "ClassB")
    assert predictor.card.startswith("# ")
    assert predictor.quantization_info["dtype"] == "fp32"
    assert predictor.precision.compute == "fp32"
    assert "as the weights are stored" in predictor.precision.reason
    assert repr(predictor).startswith(f"Predictor('{bundle}': fp32, transnetv2 tokens to 2 classes")


def test_a_bundle_without_a_card_has_an_empty_one(bundle, tmp_path):
    folder = Path(shutil.copytree(bundle, tmp_path / "fp32"))
    (folder / CARD).unlink()
    opened = open_verified(folder, CPU)
    assert Predictor(opened, student_of(opened)).card == ""


@pytest.mark.parametrize(("kind", "tolerance"), TOLERANCES.items())
def test_every_format_of_weights_answers_as_its_source(filmed, model, tmp_path, kind, tolerance):
    made = write_bundle(tmp_path / "bundles" / kind, model, filmed.clips(), kind)
    tokens = stored(filmed.clips())[0][:, 0]
    with torch.no_grad():
        expected = model(tokens).logits.softmax(-1)
    found = polyspace.load(made, device="cpu")(tokens)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_computes_in_what_it_is_stored_in(filmed, model, tmp_path):
    made = write_bundle(tmp_path / "fp16", model, filmed.clips(), "fp16")
    fast, wide = (polyspace.load(made, device="cuda", compute=c) for c in (None, "fp32"))
    assert (fast.precision.compute, wide.precision.compute) == ("fp16", "fp32")
    tokens = stored(filmed.clips())[0]
    frames = np.stack([pictures(file) for file in files(filmed)])
    expected = polyspace.load(made, device="cpu")(tokens)
    assert fast(tokens).device == CPU
    for found in (fast(tokens), wide(tokens), fast(tokens.cuda()), fast(frames)):
        torch.testing.assert_close(found, expected, rtol=0, atol=0.01)


def test_a_format_of_another_version_is_refused(bundle, tmp_path):
    folder = Path(shutil.copytree(bundle, tmp_path / "fp32"))
    config = json.loads((folder / CONFIG).read_text())
    write_json(folder / CONFIG, {**config, "kind": "fp4"})
    seal(folder)
    with pytest.raises(CheckpointError, match=r"has the format 'fp4', .* update it"):
        polyspace.load(folder, device="cpu")


def test_a_bundle_with_machine_code_is_refused_unless_it_is_allowed(bundle, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(bundle, tmp_path / "aotinductor"))
    config = json.loads((folder / CONFIG).read_text())
    write_json(folder / CONFIG, {**config, "kind": "aotinductor"})
    seal(folder)
    with pytest.raises(ExportError, match="holds compiled code, which runs when it is loaded"):
        polyspace.load(folder, device="cpu")
    monkeypatch.setitem(kinds.MODULES, "aotinductor", "weights")
    monkeypatch.setitem(TYPES, "aotinductor", "float32")
    assert polyspace.load(folder, device="cpu", allow_compiled=True).kind == "aotinductor"


def test_loading_leaves_random_numbers_alone(bundle):
    before = torch.random.get_rng_state()
    polyspace.load(bundle, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_runs_folder_gives_its_bundle(bundle):
    assert polyspace.load(bundle.parent.parent, device="cpu").folder == bundle


def test_what_it_computes_in_can_be_asked_for(bundle, predictor, filmed):
    tokens = stored(filmed.clips())[0]
    narrow = polyspace.load(bundle, device="cpu", compute="bf16")
    assert narrow.precision.compute == "bf16"
    assert "asked for" in narrow.precision.reason
    assert not torch.equal(narrow(tokens), predictor(tokens))
    torch.testing.assert_close(narrow(tokens), predictor(tokens), rtol=0, atol=0.05)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(bundle):
    with pytest.raises(PrecisionError, match="torch sees no GPU here"):
        polyspace.load(bundle, device="cuda")


def test_names_that_nobody_checked_are_refused_with_what_is_known(bundle):
    # The tests' own type checks would answer before: a notebook has none.
    script = """
import sys, torch, polyspace
for name, value in (("device", "gpu"), ("device", torch.device("cuda:1")), ("compute", "half")):
    try:
        polyspace.load(sys.argv[1], **{name: value})
    except ValueError as error:
        print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, bundle], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == [
        "unknown device 'gpu': did you mean 'cpu'? known are auto, cpu, cuda",
        "unknown device 'cuda:1': did you mean 'cuda'? known are auto, cpu, cuda",
        "unknown compute type 'half': known are bf16, fp16, fp32",
    ]


def test_an_altered_bundle_is_refused(bundle, tmp_path):
    folder = Path(shutil.copytree(bundle, tmp_path / "fp32"))
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not the file that was exported"):
        polyspace.load(folder, device="cpu")


def test_answers_that_are_not_finite_are_refused(bundle, filmed):
    def run(inputs):
        return torch.full((len(inputs), 2), torch.nan)

    model = predictor_with(bundle, run)
    with pytest.raises(PrecisionError, match=r"not finite, computing in fp32"):
        model(stored(filmed.clips())[0])


def test_weights_of_another_backbone_are_refused(bundle):
    with pytest.raises(ConfigError, match=r"weights of vivit were given, .* student is transnetv2"):
        polyspace.load(bundle, device="cpu", weights={"vivit": "/models/vivit"})


def test_other_weights_than_those_of_the_features_are_refused(bundle, filmed, tmp_path):
    config = open_verified(bundle, CPU).config
    weights = {**config["student"]["provenance"]["weights"], "fingerprint": "0" * 64}
    provenance = {**config["student"]["provenance"], "weights": weights}
    model = predictor_with(bundle, student={**config["student"], "provenance": provenance})
    with pytest.raises(StoreError, match="is not what the features were made with"):
        model(pictures(files(filmed)[0]))


def test_a_student_that_looks_at_motion_needs_the_file(tmp_path):
    seen = film(tmp_path)
    model = distil(seen.clips(), ("transnetv2",))
    predictor = polyspace.load(write_bundle(tmp_path / "b", model, seen.clips()), device="cpu")
    with pytest.raises(InputError, match=r"looks at the motion field in the file"):
        predictor(np.zeros((4, 8, 8, 3), np.uint8))
    chances = predictor.videos(files(seen), processes=0)
    tokens, _ = stored(seen.clips(), "motion_vectors")
    assert_rounded(stacked(chances), predictor(tokens))


def test_a_bundle_that_starts_from_pictures_is_fed_them_and_loads_no_student(
    bundle, filmed, monkeypatch
):
    given = []

    def run(inputs):
        given.append(inputs)
        return torch.zeros(len(inputs), 2)

    monkeypatch.setattr(reload, "load", lambda *_: pytest.fail("a student was loaded"))
    model = predictor_with(bundle, run, entry="pictures")
    file = files(filmed)[0]
    assert model(pictures(file)).tolist() == [[0.5, 0.5]]
    assert len(model.videos([file], processes=0)) == 1
    clip = decode(file.parent, model.student.request(file.name))
    assert given[0].dtype == torch.uint8
    assert torch.equal(given[0][0], prepare(clip, model.student.inputs))
    assert torch.equal(given[0], given[1])
    with pytest.raises(InputError, match="this bundle starts from pictures: give frames"):
        model(stored(filmed.clips())[0])


def test_importing_the_package_is_light_and_other_names_are_not_there():
    script = "import sys, polyspace; assert 'torch' not in sys.modules; print(polyspace.__all__)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout.strip() == "['load', 'load_model_auto']", ended.stderr
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        getattr(polyspace, "lode")  # noqa: B009


def student_of(opened, record=None):
    return Student(record or opened.config["student"], entry=opened.entry, weights={}, device=CPU)


def predictor_with(bundle, run=None, *, entry="tokens", student=None):
    """Give a bundle's predictor with another model in it, or another entry or student."""
    opened = open_verified(bundle, CPU)
    loaded = Loaded(run, opened.loaded.precision) if run else opened.loaded
    opened = replace(opened, config={**opened.config, "entry": entry}, loaded=loaded)
    return Predictor(opened, student_of(opened, student))
