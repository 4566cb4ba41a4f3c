"""The page of a folder of bundles: all formats side by side, and exports.json for programs."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from polyspace.errors import RecordError
from polyspace.files import write_atomically
from polyspace.report import output, words
from polyspace.report.blocks import Answer, Block, Document, Picture, Section
from polyspace.report.exports import formats, tables
from polyspace.report.figures import exports as figure
from polyspace.report.records.bundle import read_bundle
from polyspace.report.records.exports import Exported, Exports
from polyspace.report.records.proof import Proof, read_proof

RECORD, PAGE = "exports.json", "index.html"
PASSING = (".partial", ".old")
"""What the names of folders end with that an export is about to rename or to remove."""


def write(found: Exports, folder: Path) -> Path:
    """Write index.html and exports.json into the folder of the bundles; give the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    text = found.model_dump_json(indent=1, by_alias=True).encode()
    write_atomically(folder / RECORD, lambda file: file.write(text))
    output.write_page(compose(found), folder / PAGE)
    return folder / RECORD


def collect(folder: Path, refused: Mapping[str, str]) -> Exports:
    """Read every bundle in a folder, the largest first.

    What is there and can't be read, such as a bundle of an earlier version, counts as refused.

    Args:
        folder: Holds a folder for each format; it need not be there.
        refused: Formats that were asked for and failed, with the reason.
    """
    there: list[Exported] = []
    left = dict(refused)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (path / "proof.json").is_file() and path.suffix not in PASSING:
            try:
                there.append(_read(path))
            except RecordError as error:
                left.setdefault(path.name, str(error))
    there.sort(key=lambda exported: (-exported.proof.bytes, exported.folder))
    return Exports.model_validate({"schema": 1, "formats": tuple(there), "refused": left})


def compose(exports: Exports) -> Document:
    """Put the page together."""
    proofs = exports.proofs
    newest = max(proofs, key=lambda proof: proof.created, default=None)
    return Document(
        title="PolySpace: exported formats",
        over=_over(newest) if newest else "No bundle",
        warnings=[*_warnings(exports), *_unsteady(exports)],
        answer=Answer(
            question="Which form of the model to take?",
            said=formats.sentence(exports),
            verdict="better" if proofs and not exports.refused else "open",
            figures=_figures(exports),
        ),
        command=newest.command if newest else "",
        sections=tuple(_sections(exports)),
    )


def _read(path: Path) -> Exported:
    sources = read_bundle(path / "config.json").quantization_info.source_sha256
    return Exported(folder=path.name, sources=sources, proof=read_proof(path / "proof.json"))


def _over(newest: Proof) -> str:
    machine = words.machine(newest.device, newest.threads)
    return f"{newest.dataset}, {newest.split} split · {machine} · {words.moment(newest.created)}"


def _warnings(exports: Exports) -> Iterator[str]:
    """Say where bundles in one folder are no forms of one model."""
    when: dict[tuple[tuple[str, str], ...], datetime] = {}
    for exported in exports.formats:
        key = tuple(sorted(exported.sources.items()))
        when[key] = max(when.get(key, exported.proof.created), exported.proof.created)
    newest = max(when, key=lambda key: when[key], default=())
    others = [e.folder for e in exports.formats if tuple(sorted(e.sources.items())) != newest]
    if others:
        yield (
            f"Made of other checkpoints than the newest export: {', '.join(others)}. Export these "
            f"again, or remove them, before comparing."
        )
    if before := [e.folder for e in exports.formats if e.folder in exports.refused]:
        yield (
            f"Refused when last exported: {', '.join(before)}. What is shown of these is an "
            f"earlier bundle."
        )


def _unsteady(exports: Exports) -> Iterator[str]:
    """Say which formats were timed on a machine that had other things to do."""
    if shaky := [proof.kind for proof in exports.proofs if tables.unsteady(proof)]:
        yield (
            f"Timed while the machine was busy: {', '.join(shaky)}. Single rounds differ by more "
            f"than a factor of {tables.UNSTEADY:g}; measure again where it is quiet before relying "
            f"on these times."
        )


def _figures(exports: Exports) -> dict[str, str]:
    proofs = exports.proofs
    if not proofs:
        return {"formats refused": str(len(exports.refused))}
    small = min(proofs, key=lambda proof: proof.ratio)
    timed = [(proof.first.ratio.median, proof.kind) for proof in proofs if proof.first]
    quick = {f"of the time: {kind}": words.factor(ratio) for ratio, kind in sorted(timed)[:1]}
    return {
        "formats": str(len(proofs)),
        "refused": str(len(exports.refused)),
        f"of the size: {small.kind}": words.decimal(small.ratio),
        **quick,
        "same class, the worst": words.percent(min(proof.agreement for proof in proofs)),
    }


def _sections(exports: Exports) -> Iterator[Section]:
    if exports.formats:
        yield Section("agreement", "Size and agreement", [formats.agreement(exports, links="")])
        yield Section("cost", "Time and memory", [*_pictures(exports), *formats.cost(exports)])
    if exports.refused:
        yield Section("refused", "Refused", formats.refused(exports))


def _pictures(exports: Exports) -> list[Block]:
    """Draw the smallest batch and the largest."""
    proofs = exports.proofs
    shown = formats.batches(proofs)
    ends = dict.fromkeys([*shown[:1], *shown[-1:]])
    return [
        Picture(
            f"formats_{batch}",
            figure.draw(proofs, batch),
            f"File size against time of a batch of {batch}, both beside float32: left and below "
            f"is better; lines are the middle eight tenths of the rounds. n = "
            f"{max(proof.clips for proof in proofs)} clips in the proofs; "
            f"{'; '.join(formats.machines(proofs))}.",
            f"Size against time, batches of {batch}",
        )
        for batch in ends
    ]
