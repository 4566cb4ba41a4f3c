import pytest
import torch

from polyspace.models.grids import TokenShape, resample
from polyspace.models.joins.gated import Gate

STUDENT = TokenShape(4, 4, 6)
TEACHERS = {"flow": TokenShape(4, 4, 3), "look": TokenShape(2, 1, 8), "fine": TokenShape(8, 9, 2)}
HERE = torch.ones(5)


def made(teacher):
    torch.manual_seed(0)
    gate = Gate(STUDENT, TEACHERS[teacher], rank=4)
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return gate


def draw(shape, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, shape.time, shape.space, shape.dim, generator=generator)


@pytest.mark.parametrize("teacher", list(TEACHERS))
def test_resampling_after_projecting_gives_the_same_numbers_as_before(teacher):
    gate = made(teacher)
    tokens = draw(TEACHERS[teacher])
    onto = {"time": STUDENT.time, "space": STUDENT.space}
    torch.testing.assert_close(
        resample(gate.down(tokens), **onto), gate.down(resample(tokens, **onto))
    )
    student = draw(STUDENT)
    moved, opened = gate(student, tokens, HERE)
    again, opened_again = gate(student, resample(tokens, **onto), HERE)
    torch.testing.assert_close(moved, again)
    torch.testing.assert_close(opened, opened_again)


def test_silent_error_10_a_gate_lets_a_token_in_at_its_own_time_and_place():
    gate = made("flow")
    tokens, student = draw(TEACHERS["flow"]), draw(STUDENT)
    changed = tokens.clone()
    changed[:, 1, 2] += 1
    moved = (gate(student, changed, HERE)[0] - gate(student, tokens, HERE)[0]).abs().sum(-1) > 0
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1, 2] = True
    assert torch.equal(moved, expected.expand(5, 4, 4))


def test_a_known_gate_lets_a_known_share_in():
    gate = Gate(TokenShape(1, 1, 1), TokenShape(1, 1, 1), rank=1)
    for name, value in {
        "down.weight": 2.0,
        "up.weight": 3.0,
        "from_teacher.weight": 1.0,
        "from_student.weight": 1.0,
        "from_student.bias": 0.0,
        "openness.weight": 2.0,
        "openness.bias": -1.0,
    }.items():
        torch.nn.init.constant_(gate.get_parameter(name), value)
    student, teacher = torch.full((1, 1, 1, 1), 0.25), torch.full((1, 1, 1, 1), 0.75)
    added, opened = gate(student, teacher, torch.ones(1))
    # gelu(1) = 0.8413447; sigmoid(2 * 0.8413447 - 1) = 0.6643387; 3 * 2 * 0.75 = 4.5
    assert float(opened.detach()) == pytest.approx(0.6643387, abs=1e-6)
    assert float(added.detach()) == pytest.approx(4.5 * 0.6643387, abs=1e-5)
