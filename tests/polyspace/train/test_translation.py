import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.models.converters import Translator
from polyspace.train import train_converter
from polyspace.train.batches import divide
from polyspace.train.translation import closed_form, quality, summary, vectors


@pytest.fixture
def measured(train, test_clips, converters):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    division = divide(train, train.rows(("stu", "flow", "look")), share=0.2, seed=0)
    closed = closed_form(translator, train, division)
    rows = test_clips.rows(("stu", "flow", "look"))

    def measure(teacher):
        return quality(translator, closed, teacher, test_clips, rows)

    return measure


def test_a_linear_teacher_is_translated_exactly(measured):
    found = measured("flow")
    assert found["ridge"].r2 > 0.9999
    assert found["ridge"].cosine == pytest.approx(1, abs=1e-3)
    assert found["ridge"].centred_cosine > 0.999


def test_the_mean_explains_nothing_however_high_its_raw_cosine(measured):
    found = measured("look")["mean"]
    assert abs(found.r2) < 0.1
    assert abs(found.centred_cosine) < 0.1
    assert found.cosine > found.centred_cosine


@pytest.mark.parametrize("teacher", ["flow", "look"])
def test_kinds_stand_in_their_order(measured, teacher):
    found = measured(teacher)
    assert list(found) == ["mean", "procrustes", "ridge", "residual_mlp"]
    assert found["mean"].r2 < found["procrustes"].r2 < found["ridge"].r2


def test_measuring_leaves_the_translator_as_it_was(train, test_clips, converters):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    before = {name: value.clone() for name, value in translator.state_dict().items()}
    division = divide(train, train.rows(("stu", "look")), share=0.2, seed=0)
    closed = closed_form(translator, train, division)
    quality(translator, closed, "look", test_clips, test_clips.rows(("stu", "look")))
    after = translator.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_baselines_are_of_the_students_own_tokens_whatever_a_trunk_makes_of_them(
    train, test_clips, converters, features, converter_settings, tmp_path, finish
):
    config = converter_settings(features, tmp_path, trunk=8, lr=0.05)
    path = finish(train_converter.run(config))
    trained = Translator.from_record(
        checkpoint.load(path.with_name("converters_ep2.pt"), "converters")
    )
    plain = Translator.from_record(checkpoint.load(converters, "converters"))
    division = divide(train, train.rows(("stu", "flow", "look")), share=0.2, seed=0)
    rows = test_clips.rows(("stu", "flow", "look"))
    found, expected = (
        quality(model, closed_form(model, train, division), "look", test_clips, rows)
        for model in (trained, plain)
    )
    assert all(found[kind] == expected[kind] for kind in ("mean", "procrustes", "ridge"))
    assert found["residual_mlp"] != expected["residual_mlp"]


def test_both_spaces_agree_where_the_translation_is_exact(measured):
    found = measured("flow")["ridge"]
    assert found.r2_own > 0.9999
    assert found.centred_cosine_own > 0.999
    assert abs(measured("look")["mean"].r2_own) < 0.1


def test_every_space_has_a_vector_of_every_clip(test_clips, converters):
    translator = Translator.from_record(checkpoint.load(converters, "converters"))
    rows = test_clips.rows(("stu", "flow", "look"))
    found = vectors(translator, test_clips, rows)
    assert list(found) == ["stu", "translated:flow", "flow", "translated:look", "look"]
    assert {len(values) for values in found.values()} == {len(rows)}
    assert found["translated:look"].shape == found["look"].shape


def test_a_long_summary_is_the_mean_token_a_short_one_keeps_cells_and_spread():
    tokens = torch.randn(3, 4, 2, 5)
    assert summary(tokens).shape == (3, 2 * 2 * 5)
    long = torch.randn(3, 2, 4, 1000)
    torch.testing.assert_close(summary(long), long.mean(dim=(1, 2)))
