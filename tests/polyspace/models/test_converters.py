import pytest
import torch

from polyspace.errors import CheckpointError, ConfigError, UnknownNameError
from polyspace.models import closed_form
from polyspace.models.closed_form import Affine
from polyspace.models.converters import Converter, ConverterKind, ConverterSpec, Translator
from polyspace.models.grids import TokenShape

STUDENT = TokenShape(4, 4, 6)
TEACHERS = {"flow": TokenShape(4, 4, 3), "look": TokenShape(2, 1, 8)}


def spec(teacher="look", *, kind: ConverterKind = "residual_mlp", reach=1, trunk=0):
    return ConverterSpec(
        source=STUDENT, target=TEACHERS[teacher], kind=kind, reach=reach, hidden=16, trunk=trunk
    )


def translator(**settings):
    torch.manual_seed(0)
    return Translator("stu", {name: spec(name, **settings) for name in TEACHERS})


def tokens(clips=5, *, seed=0):
    return torch.randn(clips, 4, 4, 6, generator=torch.Generator().manual_seed(seed))


def solved(converter: Converter) -> Affine:
    """Ridge from the converter's inputs to some targets."""
    x = converter.inputs(tokens(40))
    draw = torch.Generator().manual_seed(1)
    y = torch.randn(*x.shape[:-1], converter.spec.target.dim, generator=draw)
    moments = closed_form.collect([(x, y)], wide=converter.spec.wide)
    return closed_form.ridge(moments, moments)


@pytest.mark.parametrize("kind", ["mean", "procrustes", "ridge", "linear", "residual_mlp"])
@pytest.mark.parametrize("reach", [0, 2])
def test_every_kind_gives_the_teachers_grid_and_dimensions(kind, reach):
    said = translator(kind=kind, reach=reach)(tokens())
    assert {name: tuple(value.shape[1:]) for name, value in said.items()} == {
        "flow": (4, 4, 3),
        "look": (2, 1, 8),
    }


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("kind", ["linear", "residual_mlp"])
def test_a_trained_kind_starts_at_exactly_the_closed_form_solution(kind, training):
    converter = Converter(spec(kind=kind)).train(training)
    fit = solved(converter)
    converter.map.start_at(fit)
    expected = converter.inputs(tokens()).double() @ fit.weight + fit.bias
    torch.testing.assert_close(converter(tokens()), expected.float(), atol=1e-5, rtol=1e-5)


def test_the_branch_of_a_residual_map_can_learn_although_it_starts_at_zero():
    converter = Converter(spec())
    converter(tokens()).square().sum().backward()
    gradient = converter.get_parameter("map.down.weight").grad
    assert gradient is not None
    assert gradient.any()


def test_silent_error_6_a_translation_never_depends_on_its_batch():
    model = translator().eval()
    torch.nn.init.normal_(model["look"].converter.get_parameter("map.down.weight"))
    together = model(tokens())
    for index, clip in enumerate(tokens()):
        for name, value in model(clip[None]).items():
            torch.testing.assert_close(value[0], together[name][index])


def test_silent_error_10_a_translation_keeps_every_token_at_its_time_and_place():
    converter = Converter(spec("flow", reach=0)).eval()
    changed = tokens()
    changed[:, 2, 3] += 1
    moved = (converter(changed) - converter(tokens())).abs().sum(-1) > 0
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[2, 3] = True
    assert torch.equal(moved, expected.expand(5, 4, 4))


def test_a_reach_lets_a_token_see_its_neighbours_in_time_and_nobody_else():
    converter = Converter(spec("flow", reach=1)).eval()
    changed = tokens()
    changed[:, 0, 1] += 1
    moved = (converter(changed) - converter(tokens())).abs().sum(-1) > 0
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, 1] = True
    assert torch.equal(moved, expected.expand(5, 4, 4))


def test_a_record_survives_a_checkpoint_file(tmp_path):
    model = translator().eval()
    model.student.mean.fill_(0.5)
    torch.save(model.record(), tmp_path / "record.pt")
    again = Translator.from_record(torch.load(tmp_path / "record.pt", weights_only=True)).eval()
    assert (again.student_name, again.specs) == (model.student_name, model.specs)
    assert torch.equal(again.student.mean, model.student.mean)
    for name, value in model(tokens()).items():
        assert torch.equal(again(tokens())[name], value)


@pytest.mark.parametrize("change", ["missing", "unexpected", "another kind"])
def test_silent_error_7_weights_that_do_not_fit_exactly_are_refused(change):
    record = translator().record()
    if change == "missing":
        del record["state"]["converters.look.map.up.weight"]
    elif change == "unexpected":
        record["state"]["converters.other.map.up.weight"] = torch.zeros(1)
    else:
        record["specs"]["look"]["kind"] = "linear"
    with pytest.raises(CheckpointError, match="not those of a Translator as this version makes it"):
        Translator.from_record(record)


def test_some_of_the_teachers_come_in_the_order_asked_for():
    model = translator().eval()
    model.student.mean.fill_(0.5)
    turned = model.only(["look", "flow"]).eval()
    assert list(turned(tokens())) == ["look", "flow"]
    one = model.only(["look"]).eval()
    assert list(one(tokens())) == ["look"]
    assert torch.equal(one(tokens())["look"], model(tokens())["look"])
    assert torch.equal(one.student.mean, model.student.mean)
    assert set(one.record()["specs"]) == {"look"}


def test_a_record_of_some_of_the_teachers_is_complete():
    part = translator().only(["look"])
    assert list(Translator.from_record(part.record()).specs) == ["look"]


def test_an_unknown_teacher_is_named_beside_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'lok': did you mean 'look'.* flow, look"):
        translator()["lok"]
    with pytest.raises(UnknownNameError, match="'depth'"):
        translator().only(["flow", "depth"])


def test_only_maps_and_branches_are_trained():
    assert all(".map." in name for name, _ in translator().named_parameters())
    attending = dict(translator(kind="perceiver").named_parameters())
    assert all(".map." in name or ".branch." in name for name in attending)


def with_trunk():
    """Make a translator whose trunk, having learned something, counts."""
    model = translator(trunk=8).eval()
    for name, weights in model.trunk.named_parameters():
        if ".down." in name:
            torch.nn.init.normal_(weights, generator=torch.Generator().manual_seed(2))
    return model


def test_behind_an_untrained_trunk_translations_are_the_same_to_the_last_bit():
    plain, behind = translator().eval()(tokens()), translator(trunk=8).eval()(tokens())
    assert all(torch.equal(behind[name], plain[name]) for name in TEACHERS)


def test_the_way_to_a_teacher_leads_through_the_trunk():
    model = with_trunk()
    said, seen = model(tokens()), model.trunk(tokens())
    for name in TEACHERS:
        assert torch.equal(model[name](tokens()), said[name])
        assert torch.equal(model[name].converter(seen), said[name])
        assert not torch.allclose(model[name].converter(tokens()), said[name])


def test_a_trunk_is_counted_on_the_way_to_each_teacher_and_once_in_all():
    model, plain = with_trunk(), translator()

    def count(module):
        return sum(weights.numel() for weights in module.parameters())

    assert count(model["look"]) == count(plain["look"]) + count(model.trunk)
    assert count(model) == count(plain) + count(model.trunk)


def test_a_trunk_comes_with_some_of_the_teachers():
    model = with_trunk()
    part = model.only(["look"])
    assert torch.equal(part(tokens())["look"], model(tokens())["look"])
    again = Translator.from_record(part.record()).eval()
    assert torch.equal(again(tokens())["look"], model(tokens())["look"])


def test_a_record_with_a_trunk_survives_a_checkpoint_file(tmp_path):
    model = with_trunk()
    torch.save(model.record(), tmp_path / "record.pt")
    again = Translator.from_record(torch.load(tmp_path / "record.pt", weights_only=True)).eval()
    assert (again.width, again.fingerprint()) == (8, model.fingerprint())
    assert torch.equal(again(tokens())["flow"], model(tokens())["flow"])


def test_a_fingerprint_is_of_the_trunk_too_and_without_one_what_it_always_was():
    model = with_trunk()
    before = model.fingerprint()
    with torch.no_grad():
        model.trunk.get_parameter("blocks.1.down.bias")[0] += 1
    assert model.fingerprint() != before
    assert all(name.startswith(("student.", "converters.")) for name in translator().state_dict())


def test_records_of_before_trunks_are_still_read():
    record = translator().record()
    for named in record["specs"].values():
        del named["trunk"]
    assert Translator.from_record(record).width == 0


def test_converters_that_disagree_on_the_trunk_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="widths 0, 8, expected one that all of them share"):
        Translator("stu", {"flow": spec("flow"), "look": spec(trunk=8)})
