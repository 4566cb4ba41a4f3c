import numpy as np
import torch

from polyspace.engine import checkpoint
from polyspace.models.converters import Translator
from polyspace.train.fusion_workload import Inputs, translated
from polyspace.train.recall import recall


def view(rows):
    """Inputs that say which row they are of; the second translation is on another grid."""
    own = torch.from_numpy(rows).float().view(-1, 1, 1, 1)
    return Inputs(
        student=own.expand(-1, 2, 4, 3),
        translated={"flow": -own.expand(-1, 2, 4, 5), "look": own.expand(-1, 3, 1, 2) / 7},
    )


def same(first, second):
    return torch.equal(first.student, second.student) and all(
        torch.equal(first.translated[name], second.translated[name]) for name in second.translated
    )


def test_what_is_recalled_is_exactly_what_the_view_gives(tmp_path):
    rows = np.array([2, 3, 5, 7, 11, 200])
    recalled = recall(view, rows, tmp_path)
    for part in (rows, rows[[3]], rows[[5, 0, 2]], rows[[1, 1]]):
        assert same(recalled(part), view(part))
    assert list(recalled(rows).translated) == ["flow", "look"]


def test_more_clips_than_are_in_memory_at_a_time_are_recalled(tmp_path):
    rows = np.arange(0, 600, 3)
    assert same(recall(view, rows, tmp_path)(rows[::-1].copy()), view(rows[::-1].copy()))


def test_a_view_is_asked_for_each_batch_of_rows_once(tmp_path):
    asked = []

    def counted(rows):
        asked.append(rows.tolist())
        return view(rows)

    recalled = recall(counted, np.arange(130), tmp_path)
    before = len(asked)
    recalled(np.arange(130))
    assert len(asked) == before
    assert sorted(row for rows in asked[1:] for row in rows) == list(range(130))


def test_no_teachers_are_recalled_as_none(tmp_path):
    recalled = recall(lambda rows: Inputs(view(rows).student, {}), np.arange(3), tmp_path)
    assert recalled(np.arange(3)).translated == {}


def test_real_translations_are_recalled_bit_by_bit(tmp_path, train, converters):
    record = checkpoint.load(converters, "converters")
    inputs = translated(train, Translator.from_record(record).eval())
    rows = np.arange(64)  # as many as are computed together, because the kernels depend on it
    with torch.no_grad():
        assert same(recall(inputs, rows, tmp_path)(rows), inputs(rows))
