"""Choose the best checkpoint of a folder by its validation metrics, and publish it with its proof.

``python -m polyspace.export.select_best`` and ``polyspace select`` are the same.
"""

from pathlib import Path

from polyspace import console
from polyspace.engine import checkpoint, validation
from polyspace.export import folders
from polyspace.export.bare import weights
from polyspace.export.selection import dossier, publishing
from polyspace.export.selection.options import PolicyOptions
from polyspace.report import selection as page
from polyspace.report.records.selection import NAME, Selection

PUBLISHED = "best.pt"


class SelectConfig(PolicyOptions):
    """Choose the best checkpoint of a folder by its validation metrics, and publish it."""

    checkpoint_dir: Path
    """Folder of checkpoint_*, step_*, epoch_* or *_ep* files (.pt, .pth)."""
    validation_metrics: Path | None = None
    """CSV with a row a checkpoint; validation_metrics.csv in the folder, which training writes,
    unless given."""
    output_dir: Path = Path("models/best")
    """Folder for best.pt, selection_metadata.json, README.md and the table."""
    plot: bool = False
    """Draw all checkpoints, the front of two metrics, and what other weights would change."""


def select_best(config: SelectConfig) -> Selection:
    """Choose, and publish everything or nothing; give the record.

    Raises:
        SelectionError: The table can't be used, a checkpoint is missing, or none may win.
        CheckpointError: A checkpoint can't be read, or is not the one that was measured.
        ConfigError: The policy doesn't fit the table.
        ExportError: The output folder was made by something else.
    """
    metrics = config.validation_metrics or config.checkpoint_dir / validation.NAME
    chosen = dossier.choose(metrics, config.checkpoint_dir, config)
    with folders.publishing(config.output_dir, NAME) as partial:
        publishing.copy_checkpoint(chosen, partial / PUBLISHED)
        content = checkpoint.read(partial / PUBLISHED)
        kind = content.get("kind") if isinstance(content, dict) else None
        return publishing.write(
            partial,
            chosen,
            published=PUBLISHED,
            loading=_loading(kind, config.output_dir / PUBLISHED),
            plot=config.plot,
        )


def main(config: SelectConfig) -> None:
    """Choose, and say what won."""
    found = select_best(config)
    console.say(f"{page.sentence(found)}: {config.output_dir / PUBLISHED}")
    if found.unmeasured:
        console.say(f"not measured: {', '.join(found.unmeasured)}")


def _loading(kind: str | None, path: Path) -> str:
    if kind in weights.OWN:
        return (
            f"from pathlib import Path\n\nfrom polyspace.engine import checkpoint\n\n"
            f'record = checkpoint.load(Path("{path}"), "{kind}")'
        )
    return f'import torch\n\ncheckpoint = torch.load("{path}", weights_only=True)'


if __name__ == "__main__":
    console.run(SelectConfig, main)
