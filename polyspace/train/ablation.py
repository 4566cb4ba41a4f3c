"""An ablation: one base setting, and everything of it that is changed one at a time.

Which setting is best is not asked here: all of them are reported on the test split, so that to
choose one by the table would be to select on test. Inside of each training the hold-out selects.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from polyspace.config import Config
from polyspace.errors import ConfigError
from polyspace.losses.mix import LOSSES
from polyspace.models.converters import CLOSED_FORM, ConverterKind
from polyspace.models.heads.kinds import HeadKind
from polyspace.models.joins.kinds import JoinKind
from polyspace.models.normalizers import NormalizerKind
from polyspace.precision import FeatureType
from polyspace.train import search
from polyspace.train.fusion_training import FusionSettings
from polyspace.train.train_converter import ConverterSettings

GroupName = Literal[
    "teachers", "joins", "heads", "converters", "normalizers", "storage", "losses", "views"
]
GROUPS: tuple[GroupName, ...] = get_args(GroupName)
BASE = "base"
"""Name of the setting that nothing is changed of."""

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "joins": ("fusion.join", get_args(JoinKind)),
    "heads": ("fusion.head", get_args(HeadKind)),
    "converters": ("converter.kind", get_args(ConverterKind)),
    "normalizers": ("converter.normalizer", get_args(NormalizerKind)),
}
"""Groups that are the other kinds of one component: the setting, and all of its kinds."""

STORED: tuple[FeatureType, ...] = ("float32", "float16", "bfloat16", "int8")
"""Types that are compared."""
COARSER: Mapping[FeatureType, tuple[FeatureType, ...]] = {
    "float32": ("float16", "bfloat16", "int8"),
    "scaled": ("bfloat16", "int8"),
    "float16": ("bfloat16", "int8"),
    "bfloat16": ("int8",),
    "int8": (),
}
"""What can be had of features of a type: what that type has rounded away does not come back."""


class AblationConfig(Config):
    """What the base of an ablation is, what is changed of it, and on which features."""

    dataset: str
    """Data set."""
    features: Path
    """Folder that holds the feature stores of both splits."""
    student: str
    """Backbone whose features are translated."""
    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Teachers that are fused in the base."""
    out: Path = Path("runs/ablation")
    """Folder for everything that is made; ablation.md, .csv, .json and .png among it."""
    groups: Annotated[tuple[GroupName, ...], Field(min_length=1)] = GROUPS
    """What is changed, in this order."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Seeds that every variation is trained with, from 0 on; each draws weights, order of clips and
    hold-out anew."""
    converter: ConverterSettings = ConverterSettings(batch=64)
    """How the base's converters are trained."""
    fusion: FusionSettings = FusionSettings(epochs=30)
    """How the base's fusion is trained, and every student alone."""
    features_float32: Path | None = None
    """Folder with the same clips' features stored as float32, for the group storage: the other
    types are then made from them, as they would have been stored."""
    train_split: str = "train"
    """Split that is trained on; its held-out groups select."""
    split: str = "test"
    """Split that everything is scored on."""
    resamples: Annotated[int, Field(ge=100)] = 10_000
    """Bootstrap resamples over groups and seeds."""


@dataclass(frozen=True)
class Variation:
    """The base with one thing changed, or what is in the way of changing it."""

    name: str
    group: GroupName | Literal["base"]
    teachers: tuple[str, ...]
    converter: ConverterSettings
    fusion: FusionSettings
    changed: Mapping[str, str] = field(default_factory=dict[str, str])
    """What differs from the base, by the name of the setting."""
    without: tuple[str, ...] = ()
    """Teachers whose translations are hidden when it is scored."""
    views: int | None = None
    """Views that scores are averaged over; None: all."""
    storage: FeatureType | None = None
    """Type that the features are stored in; None: as they are."""
    gap: str = ""
    """Why it can't be measured; empty where it can."""


@dataclass(frozen=True)
class Stored:
    """What decides which variations a feature store allows."""

    views: int
    types: tuple[FeatureType, ...]
    """Types that the backbones are stored in, each once."""
    exact: bool = False
    """Whether there is a store of float32 beside it."""


def variations(config: AblationConfig, stored: Stored) -> tuple[Variation, ...]:
    """List the base and everything that is changed of it, in the order that was asked for.

    Raises:
        ConfigError: A teacher or a group is given twice, or there is a setting without an effect.
    """
    _refuse(config)
    changes = (
        _kinds(config, group) if group in KINDS else _MAKERS[group](config, stored)
        for group in config.groups
    )
    return (base(config), *chain.from_iterable(changes))


def base(config: AblationConfig) -> Variation:
    """Give the setting that nothing is changed of."""
    return Variation(BASE, "base", config.teachers, config.converter, config.fusion)


def _refuse(config: AblationConfig) -> None:
    for name, given in (("--teachers", config.teachers), ("--groups", config.groups)):
        for value in given:
            if given.count(value) > 1:
                raise ConfigError(f"{name} has {value} {given.count(value)} times: give it once")
    for name, settings in (("--converter", config.converter), ("--fusion", config.fusion)):
        if settings.seed:
            raise ConfigError(
                f"{name}.seed {settings.seed} has no use: seeds go from 0 to --seeds minus 1"
            )


def _teachers(config: AblationConfig, _: Stored) -> Iterator[Variation]:
    """Leave out one teacher at a time: of the training, and of the trained fusion."""
    start = replace(base(config), group="teachers")
    for name in config.teachers:
        rest = tuple(other for other in config.teachers if other != name)
        yield replace(
            start,
            name=f"without {name}",
            teachers=rest,
            changed={"teachers": " ".join(rest)},
            gap="" if rest else "no teacher is left, which is the student alone",
        )
    for name in config.teachers:
        hidden = {"hidden at test": name}
        yield replace(start, name=f"{name} hidden at test", changed=hidden, without=(name,))


def _kinds(config: AblationConfig, group: GroupName) -> Iterator[Variation]:
    """Take every other kind of a component."""
    setting, kinds = KINDS[group]
    owner, _, name = setting.partition(".")
    for kind in kinds:
        if kind != getattr(getattr(config, owner), name):
            yield _changed(config, group, kind, setting, kind)


def _losses(config: AblationConfig, _: Stored) -> Iterator[Variation]:
    """Take each loss by itself, with a weight of one."""
    kind = config.converter.kind
    if kind in CLOSED_FORM:
        gap = f"the base's converters ({kind}) are solved, no loss decides them"
        yield replace(base(config), name="each loss alone", group="losses", gap=gap)
        return
    for name in LOSSES:
        if config.converter.losses != (f"{name}=1",):
            yield _changed(config, "losses", f"{name} alone", "converter.losses", (f"{name}=1",))


def _storage(config: AblationConfig, stored: Stored) -> Iterator[Variation]:
    """Store the features in each other type; of float32 beside them, in their own type, too.

    That one differs from the base by being extracted again, and by nothing else.
    """
    for dtype in STORED:
        if stored.exact or stored.types != (dtype,):
            yield replace(
                base(config),
                name=f"{dtype}, extracted again" if stored.exact else dtype,
                group="storage",
                changed={"stored as": dtype},
                storage=dtype,
                gap="" if stored.exact else _lost(stored, dtype),
            )


def _views(config: AblationConfig, stored: Stored) -> Iterator[Variation]:
    """Average over fewer views: one, two, four … of those that there are."""
    start = replace(base(config), group="views")
    if stored.views == 1:
        yield replace(start, name="fewer views", gap="this store has one view of each clip")
    count = 1
    while count < stored.views:
        said = {"views at test": str(count)}
        yield replace(start, name=f"{count} of {stored.views} views", changed=said, views=count)
        count *= 2


def _lost(stored: Stored, dtype: FeatureType) -> str:
    """Say why features can't be had in a type; nothing if they can."""
    rounded = [own for own in stored.types if own != dtype and dtype not in COARSER[own]]
    if not rounded:
        return ""
    return (
        f"can't be had from a store of {rounded[0]}, which has rounded already: extract with "
        f"--storage float32, and give --features-float32"
    )


def _changed(
    config: AblationConfig, group: GroupName, name: str, setting: str, value: object
) -> Variation:
    """Change one setting of converters or fusion; a pair that is refused is a gap that says why."""
    said = {setting: search.written(value)}
    start = replace(base(config), name=name, group=group, changed=said)
    try:
        changed = search.replaced(config, {setting: value})
    except ConfigError as error:
        return replace(start, gap=str(error))
    return replace(start, converter=changed.converter, fusion=changed.fusion)


_MAKERS: Mapping[str, Callable[[AblationConfig, Stored], Iterator[Variation]]] = {
    "teachers": _teachers,
    "storage": _storage,
    "losses": _losses,
    "views": _views,
}
"""Of the groups that are no list of kinds."""
