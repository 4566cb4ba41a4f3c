import numpy as np
import pytest

from polyspace.errors import ConfigError
from polyspace.train import projections
from polyspace.train.projections import project


def spaces(clips=40):
    random = np.random.default_rng(0)
    labels = np.arange(clips) % 4
    centres = random.normal(0, 6, (4, 12))
    cloud = (centres[labels] + random.normal(0, 1, (clips, 12))).astype(np.float32)
    near = cloud + random.normal(0, 0.1, cloud.shape).astype(np.float32)
    return {"stu": cloud[:, :5].copy(), "translated:tea": near, "tea": cloud}, labels


def test_every_space_has_a_point_a_clip_and_the_same_seed_the_same_points():
    vectors, labels = spaces()
    found, again = (
        project(vectors, labels, student="stu", teachers=["tea"], seed=0) for _ in range(2)
    )
    assert set(found) == {"labels", "tsne/stu", "tsne/translated:tea", "tsne/tea"}
    assert all(values.shape == (40, 2) for name, values in found.items() if name != "labels")
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_true_and_translated_are_laid_out_together():
    vectors, labels = spaces()
    found = project(vectors, labels, student="stu", teachers=["tea"], seed=0)
    true, said = found["tsne/tea"], found["tsne/translated:tea"]
    apart = np.linalg.norm(true - said, axis=1)
    size = np.linalg.norm(true - true.mean(axis=0), axis=1).mean()
    assert np.median(apart) < 0.3 * size
    centres = np.stack([true[labels == label].mean(axis=0) for label in range(4)])
    nearest = np.linalg.norm(said[:, None] - centres, axis=-1).argmin(axis=1)
    assert (nearest == labels).mean() > 0.9


def test_of_many_clips_some_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(projections, "CLIPS", 16)
    vectors, labels = spaces(80)
    found = project(vectors, labels, student="stu", teachers=["tea"], seed=0)
    assert len(found["tsne/tea"]) == len(found["labels"]) == 16
    assert found["labels"][0] == labels[0]
    assert found["labels"][-1] == labels[-1]


def test_umap_is_refused_in_one_line_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(projections, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--umap needs umap-learn.*polyspace\[umap\]"):
        projections.refuse_missing_umap()
