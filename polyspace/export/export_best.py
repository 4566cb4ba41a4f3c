"""Choose the best checkpoint of a folder, and export its weights alone, half as large if asked to.

Whose checkpoint it is doesn't matter: weights are read from ``model_state_dict``, ``state_dict`` or
PolySpace's own kinds. The architecture may be unknown, so that no forward pass is made; what is
proved is that a fresh process reads back every tensor bit by bit. A fusion is exported with a
comparison of its answers by ``python -m polyspace.export.bundle``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from polyspace import console
from polyspace.engine import validation
from polyspace.errors import ConfigError
from polyspace.export import folders
from polyspace.export.bare import written
from polyspace.export.bare.written import INFO, WEIGHTS
from polyspace.export.selection import dossier, options, publishing, spectral, table
from polyspace.export.selection.options import PolicyOptions
from polyspace.export.selection.policy import Policy
from polyspace.precision import StorageType
from polyspace.report import selection as page
from polyspace.report.blocks import Facts, Paragraph, Section
from polyspace.report.records.selection import NAME, Selection


class ExportBestConfig(PolicyOptions):
    """Choose the best checkpoint of a folder, and export its weights alone."""

    checkpoint_dir: Path
    """Folder of checkpoint_*, step_*, epoch_* or *_ep* files (.pt, .pth)."""
    validation_metrics: Path | None = None
    """CSV with a row a checkpoint; validation_metrics.csv in the folder, unless given."""
    output_dir: Path = Path("models/stage2_best")
    """Folder for model.safetensors, a .pt of the folder's name, the record and README.md."""
    quantize_fp16: bool = False
    """Store float32 parameters as float16; statistics and integers stay as they are."""
    plot: bool = False
    """Draw all checkpoints, the front of two metrics, and what other weights would change."""
    spectral_weight: Annotated[float, Field(ge=0)] | None = None
    """Factor of the improvements of the spectral preset; 1, unless given."""
    edge_penalty_weight: Annotated[float, Field(ge=0)] | None = None
    """Factor of the spectral preset's penalty on edges; 10, unless given."""


def export_best(config: ExportBestConfig) -> Selection:
    """Choose, cast, verify, and publish everything or nothing; give the record.

    Raises:
        SelectionError: The table can't be used, a checkpoint is missing, or none may win.
        CheckpointError: A checkpoint can't be read safely, or is not the one that was measured.
        ExportError: A value doesn't fit float16 or isn't finite, the export doesn't read back, or
            the output folder was made by something else.
    """
    metrics = config.validation_metrics or config.checkpoint_dir / validation.NAME
    chosen = dossier.choose(metrics, config.checkpoint_dir, _policy(config, metrics))
    dtype: StorageType = "float16" if config.quantize_fp16 else "float32"
    published = f"{config.output_dir.resolve().name}.pt"
    with folders.publishing(config.output_dir, NAME) as partial:
        info = written.write(partial, chosen, published, dtype)
        return publishing.write(
            partial,
            chosen,
            published=published,
            loading=_loading(config.output_dir / published),
            plot=config.plot,
            sections=[_section(info)],
            further={"quantization_info": info},
        )


def main(config: ExportBestConfig) -> None:
    """Export, and say what won and how small it came out."""
    found = export_best(config)
    info = json.loads((config.output_dir / INFO).read_text())
    console.say(f"{page.sentence(found)}: {config.output_dir}")
    console.say(
        f"{info['dtype']}, {info['bytes']:,} bytes, {info['bytes'] / info['float32_bytes']:.3f} of "
        f"the weights as float32, {info['bytes'] / info['source']['bytes']:.3f} of the "
        f"checkpoint; {info['proof']['said']}"
    )


def _policy(config: ExportBestConfig, metrics: Path) -> Policy:
    """Give the policy; the two weights of the spectral preset are refused where they'd be lost."""
    found = options.resolve(config, table.read(metrics).names)
    given = {
        name: getattr(config, name)
        for name in ("spectral_weight", "edge_penalty_weight")
        if getattr(config, name) is not None
    }
    if given and found.name != "spectral":
        raise ConfigError(
            f"--{next(iter(given))} belongs to the spectral preset, but {found.name} was chosen by "
            f"the table's columns or your options: leave it out"
        )
    return (
        found.model_copy(update={"objective": spectral.policy(**given).objective})
        if given
        else found
    )


def _loading(path: Path) -> str:
    return (
        f"from polyspace import load_model_auto\n\n"
        f'model, quantization_info = load_model_auto("{path}", YourModel())\n\n'
        f"# or without PolySpace:\n"
        f"import torch\n\n"
        f'checkpoint = torch.load("{path}", weights_only=True)\n'
        f"model = YourModel()\n"
        f'model.load_state_dict(checkpoint["model_state_dict"])  # widens float16\n'
        f"model.eval()"
    )


def _section(info: Mapping[str, Any]) -> Section:
    """Say in the README what was exported; every number was measured."""
    source, proof = info["source"], info["proof"]
    facts = {
        "type": str(info["dtype"]),
        "float16 parameters": f"{info['fp16_parameters']:,} of {info['total_parameters']:,}",
        "buffers, kept": f"{sum(info['buffers'].values()):,}",
        "bytes": f"{info['bytes']:,} of {WEIGHTS}; {info['float32_bytes']:,} as float32, "
        f"{source['bytes']:,} of the checkpoint",
        "left out": ", ".join(source["left_out"]) or "nothing",
        "sha256 of the source": source["sha256"],
    }
    said = (
        f"{proof['tensors']} tensors: {proof['said']}. What was rounded, tensor by tensor, is in "
        f"{INFO}."
    )
    return Section("export", "What was exported", [Facts(facts), Paragraph(said)])


if __name__ == "__main__":
    console.run(ExportBestConfig, main)
