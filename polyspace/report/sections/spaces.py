"""What the feature spaces look like, and which of them agree."""

from collections.abc import Mapping

from polyspace.report import words
from polyspace.report.blocks import Block, Folded, Heading, Paragraph, Picture, Section, Table
from polyspace.report.figures import atlas as heat
from polyspace.report.figures import vectors
from polyspace.report.figures.vectors import Projection
from polyspace.report.records.arrays import Vectors
from polyspace.report.records.atlas import Atlas, Measured
from polyspace.report.records.evaluation import Evaluation

NAMES = {"tsne": "t-SNE", "umap": "UMAP"}


def section(evaluation: Evaluation, pooled: Vectors, projected: Mapping[str, Vectors]) -> Section:
    """Show all spaces before and after conversion, then how they agree."""
    blocks: list[Block] = [
        _picture(
            "vectors",
            evaluation,
            vectors.principal(pooled),
            "principal components; in brackets: the variance that the two axes hold",
        )
    ]
    for method, points in projected.items():
        plane = Projection(points.student, points.translated, points.true, points.labels)
        how = f"{NAMES[method]}, seed {evaluation.seed}, of {len(points.labels)} clips"
        blocks.append(_picture(method, evaluation, plane, how))
    if evaluation.atlas:
        blocks += _atlas(evaluation, evaluation.atlas)
    return Section("spaces", "Feature spaces", blocks)


def _picture(name: str, evaluation: Evaluation, plane: Projection, how: str) -> Picture:
    caption = (
        "One point a clip, coloured by class: the student's own vectors, what the converter makes "
        f"of them, and what the teacher says; the last two share their axes. By {how}. "
        f"{words.basis(evaluation)}."
    )
    drawn = vectors.draw(plane, evaluation.teachers, evaluation.dataset.class_names)
    return Picture(name, drawn, caption, "Vectors before and after the converters")


def _atlas(evaluation: Evaluation, atlas: Atlas) -> list[Block]:
    caption = (
        "How two spaces agree, as a whole (unbiased linear CKA) and close by (share of the "
        f"{atlas.k} nearest clips that both have); chance from {atlas.permutations} permutations. "
        f"{words.basis(evaluation)}."
    )
    gaps = [(name, why) for name, why in atlas.gaps.items()]
    return [
        Heading("Alignment of the spaces"),
        Picture("atlas", heat.draw(atlas), caption, "Alignment of every two spaces"),
        _ranks(atlas),
        Paragraph(
            "RankMe and effective rank: how many dimensions are in use. A translation of low rank "
            "has collapsed, whatever its R².",
            quiet=True,
        ),
        Folded("All figures of every pair, with what shuffled clips come to", [_pairs(atlas)]),
        *([Table(("not measured", "why"), gaps, text=2)] if gaps else []),
    ]


def _ranks(atlas: Atlas) -> Table:
    rows = [
        (
            space.name,
            f"{space.dims:,}",
            f"{space.ranks.rankme:.1f}",
            f"{space.ranks.effective_rank:.1f}",
            f"{space.ranks.participation_ratio:.1f}",
        )
        for space in atlas.spaces
    ]
    return Table(("space", "dimensions", "RankMe", "effective rank", "participation ratio"), rows)


def _pairs(atlas: Atlas) -> Table:
    head = ("spaces", "", "CKA", "unbiased CKA", "SVCCA", "mutual k-NN", "CKNNA")
    rows = [
        (
            pair.first,
            pair.second,
            words.decimal(pair.cka),
            _against_chance(pair.unbiased_cka),
            f"{words.decimal(pair.svcca.value)} ({words.decimal(pair.svcca.chance)})",
            _against_chance(pair.mutual_knn),
            _against_chance(pair.cknna) if pair.cknna else words.NONE,
        )
        for pair in atlas.pairs
    ]
    return Table(head, rows, text=2)


def _against_chance(found: Measured) -> str:
    return (
        f"{words.decimal(found.value)} ({words.decimal(found.chance.p95)}, "
        f"{words.probability(found.chance.p)})"
    )
