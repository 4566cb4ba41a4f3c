"""Training from cached features beside video mode, and beside decoding in every step."""

import os
import statistics
import tempfile
from argparse import Namespace
from collections.abc import Generator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from polyspace.data import featurize
from polyspace.data.clips import DecodedClip
from polyspace.data.datasets import folder_of_classes
from polyspace.data.encode import Setup, encode, feed
from polyspace.data.featurize import FeaturizeConfig
from polyspace.data.pipeline import request
from polyspace.data.prefetch import decode_all
from polyspace.engine import checkpoint
from polyspace.engine.loop import Step, Training
from polyspace.models.backbones import registry
from polyspace.models.backbones.protocol import Backbone
from polyspace.models.converters import Translator
from polyspace.models.fusion import Fused, Fusion, FusionSpec
from polyspace.train import train_converter, train_fusion
from polyspace.train.batches import divide, shuffled
from polyspace.train.fusion_workload import Batch, FusionWorkload, Inputs, translated
from polyspace.train.sources import StoredClips
from polyspace.train.train_converter import ConverterConfig
from polyspace.train.train_fusion import FusionConfig
from tests.benchmarks.document import spread
from tests.benchmarks.extraction_parts import make_clips
from tests.benchmarks.speed_common import CPU, WARM

BASE = 86
"""Million parameters of a base-size student."""


class FromVideos(FusionWorkload):
    """What training without a cache would do: every batch is decoded, seen and translated anew."""

    def watch(self, translator: Translator, backbone: Backbone, setup: Setup, root: Path) -> None:
        """Say who looks at what."""
        self.translator, self.backbone, self.setup = translator, backbone, setup
        self.manifest = folder_of_classes.read(root, "train")

    def batches(self, epoch: int, *, start: int = 0) -> Generator[Batch]:
        """Decode ahead in worker processes, in the order of training."""
        fit = self.division.fit
        order = list(shuffled(fit, self.batch, seed=self.seed, epoch=epoch, start=start))
        listed = {clip.id: clip for clip in self.manifest.clips}
        wanted = (
            request(listed[self.clips.ids[row]], [self.backbone], self.setup)
            for rows in order
            for row in rows
        )
        decoded = decode_all(self.manifest.root, wanted, processes=2, ahead=self.batch)
        for rows in order:
            seen = list[DecodedClip]()
            for clip in islice(decoded, len(rows)):
                assert isinstance(clip, DecodedClip)
                seen.append(clip)
            yield Batch(self._inputs(seen), torch.from_numpy(self.clips.labels[rows]))

    @torch.no_grad()
    def _inputs(self, seen: list[DecodedClip]) -> Inputs:
        parts = [seen[at : at + self.setup.batch] for at in range(0, len(seen), self.setup.batch)]
        blocks = [encode(self.backbone, feed(self.backbone, part), self.setup) for part in parts]
        student = self.translator.student(torch.cat([block.tokens[:, 0] for block in blocks]))
        return Inputs(student, self.translator.eval()(student))


def section(folder: Path, asked: Namespace) -> str:
    """Compare with video mode for a tiny student and one of base size."""
    size = min(32, asked.videos // 3)
    tiny = _Film(folder / "tiny", asked.videos, "vjepa2", "random-tiny", size, asked.epochs)
    lines = [tiny.line("tiny student (random vjepa2)", asked.rounds)]
    if asked.base_videos:
        weights = str(_base_videomae(folder / "weights"))
        base = _Film(folder / "base", asked.base_videos, "videomae", weights, 8, asked.epochs)
        lines.append(base.line(f"base-size student ({BASE} M, random videomae)", 1))
    head = (
        "| student | steps/s: cached; decoding in every step | cached / decoding in every step "
        "| whole command, cached / video mode: 1 epoch | the same, all epochs |"
    )
    table = "\n".join([head, "|---|---|---|---|---|", *lines])
    return f"""## Cached features beside videos

Goal: cached >= 50 x the steps/s of video mode. Clips of 3 s, 320 x 240, H.264; 16 frames, two
decoding processes; one teacher. "Decoding in every step" decodes and sees each batch anew, as
training without a cache has to, decoding ahead; steps alone are timed, in both. "Whole command" is
`train_fusion` from its call to the end of the epoch, without and with --use_cached_features: steps
taken by then over seconds since the call. Video mode runs the student over each clip once, into a
store, and trains from that: so later epochs cost the same in both.

{table}
"""


class _Film:
    """A folder of videos, features of them, and converters."""

    def __init__(
        self, home: Path, clips: int, student: str, weights: str, batch: int, epochs: int
    ) -> None:
        self.home, self.student, self.batch, self.epochs = home, student, batch, epochs
        self.clips = clips
        made = make_clips(home / "made", clips)
        for number, clip in enumerate(made.clips):
            place = home / "videos" / f"class{number % 2}" / f"{number:05d}.mp4"
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(home / "made" / clip.path, place)
        teacher = "timesformer"
        self.weights = {student: weights, teacher: "random-tiny"}
        self.common: dict[str, Any] = {
            "dataset": folder_of_classes.NAME,
            "root": home / "videos",
            "student": student,
            "weights": tuple(f"{name}={folder}" for name, folder in self.weights.items()),
        }
        own = {"teachers": (teacher,), "split": ("train",), "out": home / "features"}
        _finish(featurize.run(FeaturizeConfig.model_validate(self.common | own)))
        converting = ConverterConfig(
            features=home / "features",
            teachers=(teacher,),
            kind="ridge",
            reach=0,
            save_dir=home / "converters",
        )
        self.converters = _finish(train_converter.run(converting))

    def line(self, name: str, rounds: int) -> str:
        """Measure everything, so many times; give a line of the table."""
        alone, beside, first, all_ = [], [], [], []
        for _ in range(rounds):
            naive, cached = self._each_step(), self._whole(cached=True)
            video = self._whole(cached=False)
            alone.append((cached["step"], naive))
            beside.append(cached["step"] / naive)
            first.append(cached["first"] / video["first"])
            all_.append(cached["all"] / video["all"])
        speeds = "; ".join(f"{statistics.median(part):.2f}" for part in zip(*alone, strict=True))
        words = f"{name}, {self.clips} clips, batches of {self.batch}, {self.epochs} epochs"
        return f"| {words} | {speeds} | {spread(beside)} | {spread(first)} | {spread(all_)} |"

    def _config(self, *, cached: bool, save_dir: Path) -> FusionConfig:
        where = {"use_cached_features": True, "cached_features_path": self.home / "features"}
        own: dict[str, Any] = {
            "teachers": ("timesformer",),
            "converters": self.converters,
            "classes": 2,
            "epochs": self.epochs,
            "batch": self.batch,
            "device": "cpu",
            "save_dir": save_dir,
        }
        return FusionConfig.model_validate(self.common | own | (where if cached else {}))

    def _whole(self, *, cached: bool) -> dict[str, float]:
        """Run the command; give steps a second at the end of the first epoch, of all, and alone."""
        with tempfile.TemporaryDirectory(dir=self.home) as out:
            begun = last = perf_counter()
            ends, alone = dict[int, float](), list[float]()
            for step in train_fusion.run(self._config(cached=cached, save_dir=Path(out))):
                now = perf_counter()
                if isinstance(step, Step):
                    if step.done > WARM and not step.scores:
                        alone.append(now - last)
                    if step.scores:
                        ends[step.epoch] = step.done / (now - begun)
                last = perf_counter()
        return {"first": ends[1], "all": ends[self.epochs], "step": len(alone) / sum(alone)}

    def _each_step(self) -> float:
        """Train with every batch decoded and seen anew; give the steps a second."""
        config = self._config(cached=True, save_dir=self.home / "unused")
        translator = Translator.from_record(checkpoint.load(self.converters, "converters"))
        clips = StoredClips.find(self.home / "features", dataset=None, split="train", device=CPU)
        rows = clips.rows((self.student,))
        spec = FusionSpec(
            student=clips.shape(self.student),
            teachers={name: spec.target for name, spec in translator.specs.items()},
            class_names=clips.class_names,
            rank=config.rank,
            dropout=config.dropout,
        )
        division = divide(clips, rows, share=config.hold_out, seed=config.seed)
        inputs = translated(clips, translator)
        workload = FromVideos(
            Fusion(spec), inputs, clips, division, batch=self.batch, seed=config.seed
        )
        backbone = registry.load(self.student, weights=self.weights, frames=16, device=CPU)
        setup = Setup(CPU, config.types(), "2", batch=2, processes=2)
        workload.watch(translator, backbone, setup, self.home / "videos")
        training: Training[Batch, Fused] = Training(
            workload, config, precision=config.types(), device=CPU
        )
        steps = training.steps()
        next(steps)
        next(steps)  # the processes have started, and the first batch was waited for
        begun, taken = perf_counter(), 0
        for _ in islice(steps, workload.steps - 1):  # the next epoch would start them anew
            taken += 1
        return taken / (perf_counter() - begun)


def _base_videomae(folder: Path) -> Path:
    """Write VideoMAE-Base with random weights: its size and speed are those of trained ones."""
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig()).save_pretrained(folder)
    return folder


def _finish(stage: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(stage)
        except StopIteration as end:
            return end.value
