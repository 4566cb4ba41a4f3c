import pytest
import torch

from polyspace.export.proof import answers
from tests.support.exported import exportable


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return exportable(tmp_path_factory.mktemp("views"), views=3).clips()


def test_every_look_comes_once_in_the_stores_order(clips):
    batches = list(answers.held_out("tokens", "stu", clips))
    assert [len(batch) for batch in batches] == [64, 44]
    assert torch.equal(torch.cat(batches), clips.tokens("stu", clips.rows(("stu",))))


def test_answers_stay_in_their_order(clips):
    said = answers.answer(
        lambda inputs: inputs.flatten(1)[:, :3].half().float(),
        answers.held_out("tokens", "stu", clips),
    )
    tokens = clips.tokens("stu", clips.rows(("stu",)))
    assert torch.equal(said, tokens.flatten(1)[:, :3].half().float())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_looks_that_were_written_down_are_those_that_were_made(dtype, tmp_path):
    made = [torch.arange(number + 1).to(dtype)[:, None].expand(-1, 3) for number in range(12)]
    folder = answers.prepare(iter(made), tmp_path)
    for before, after in zip(made, answers.prepared(folder), strict=True):
        assert after.dtype == dtype
        assert torch.equal(before, after)


@pytest.mark.parametrize(("count", "found"), [(1, 1), (5, 5), (6, 6), (7, 7), (100, 12)])
def test_the_first_looks_are_taken_and_no_more_are_made(count, found):
    made = []

    def batches():
        for number in range(4):
            made.append(number)
            yield torch.full((3, 2), number)

    looks = answers.some(batches(), count)
    assert len(looks) == found
    assert looks[:, 0].tolist() == [number // 3 for number in range(found)]
    assert len(made) == min(4, -(-count // 3))
