"""What a sweep searches: settings of a config class, each with its choices or its range.

A term is what a person types for one of them: ``rank=16,64,256`` is a list of choices, each written
as on the stage's own command line (``losses='l1=1 cosine=1,smooth_l1=1'``), and
``lr=1e-4..1e-2:log`` is a range. A point is one value for each, in plain texts and numbers.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from polyspace.config import Config
from polyspace.errors import ConfigError, UnknownNameError

C = TypeVar("C", bound=Config)

Point = Mapping[str, str | int | float]
"""What was chosen for each setting: of choices the text, of a range the number."""

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")


@dataclass(frozen=True)
class Choices:
    """A setting with a list of values."""

    name: str
    values: Mapping[str, Any]
    """By their texts."""

    @property
    def count(self) -> int | float:
        """How many values there are."""
        return len(self.values)

    def value(self, chosen: str | int | float) -> Any:  # noqa: ANN401
        """Give the value that a point names."""
        return self.values[str(chosen)]

    def __str__(self) -> str:
        """Write the term."""
        return f"{self.name}={','.join(self.values)}"


@dataclass(frozen=True)
class Range:
    """A setting between two numbers, both included."""

    name: str
    low: int | float
    high: int | float
    log: bool

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)

    @property
    def count(self) -> int | float:
        """How many values there are."""
        return self.high - self.low + 1 if self.is_whole else math.inf

    def value(self, chosen: str | int | float) -> Any:  # noqa: ANN401
        """Give the value that a point names."""
        return chosen

    def __str__(self) -> str:
        """Write the term."""
        return f"{self.name}={self.low!r}..{self.high!r}{':log' if self.log else ''}"


Setting = Choices | Range


@dataclass(frozen=True)
class Space:
    """All settings that are searched together."""

    settings: tuple[Setting, ...]

    @property
    def count(self) -> int | float:
        """How many points there are."""
        return math.prod(setting.count for setting in self.settings)

    def points(self) -> Iterator[Point]:
        """Give every point of a space of choices, the last setting changing fastest."""
        lists = [list(part.values) for part in self.settings if isinstance(part, Choices)]
        names = [setting.name for setting in self.settings]
        return (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*lists))

    def values(self, point: Point) -> dict[str, Any]:
        """Give the values that a point names, as the config class takes them."""
        return {part.name: part.value(point[part.name]) for part in self.settings}


def parse(terms: Sequence[str], config: type[Config], fixed: Mapping[str, str]) -> Space:
    """Read terms, and refuse what the config class would refuse.

    Args:
        terms: As typed.
        config: What the settings are of.
        fixed: Settings that can't be searched, with the reason.

    Raises:
        ConfigError: There is none, one is given twice, or has no values that can be used.
        UnknownNameError: The class has no such setting.
    """
    if not terms:
        raise ConfigError("nothing to search: give --search NAME=A,B or NAME=LOW..HIGH")
    fields = {name: field for name, field in _fields(config) if name not in fixed}
    settings = tuple(_setting(term, fields, fixed) for term in terms)
    names = [setting.name for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--search has {name} {names.count(name)} times: give it once")
    return Space(settings)


def replaced(config: C, values: Mapping[str, Any]) -> C:
    """Give a config with other values, checked as if they had been typed.

    Args:
        config: What the rest comes from.
        values: By name; of configs inside of configs with dots.

    Raises:
        ConfigError: They don't go together.
    """
    changed: dict[str, Any] = {name: getattr(config, name) for name in type(config).model_fields}
    for name, value in values.items():
        outer, _, inner = name.partition(".")
        changed[outer] = replaced(changed[outer], {inner: value}) if inner else value
    try:
        return type(config).model_validate(changed)
    except ValidationError as error:
        raise ConfigError(f"these settings don't go together: {_reason(error)}") from error


def _fields(config: type[Config], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Name every setting; those of a config inside of it with dots."""
    for name, field in config.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Config):
            yield from _fields(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", field


def _setting(term: str, fields: Mapping[str, FieldInfo], fixed: Mapping[str, str]) -> Setting:
    name, equals, text = term.partition("=")
    name = name.replace("-", "_")
    if not equals or not text:
        raise ConfigError(f"--search {term} has no values: give NAME=A,B or NAME=LOW..HIGH")
    if name in fixed:
        raise ConfigError(f"--search {name} can't be searched: {fixed[name]}")
    if name not in fields:
        raise UnknownNameError("setting", name, fields)
    if found := _RANGE.fullmatch(text):
        return _range(term, name, fields[name], found)
    return _choices(term, name, fields[name], text)


def _range(term: str, name: str, field: FieldInfo, found: re.Match[str]) -> Range:
    low, high = (_value(term, field, end) for end in found.groups()[:2])
    log = bool(found[3])
    if isinstance(low, bool) or not (isinstance(low, float | int) and isinstance(high, type(low))):
        raise ConfigError(f"--search {term} is a range, but {name} is no number: give {name}=A,B")
    if low >= high or (log and low <= 0):
        floor = "0 < LOW < HIGH" if log else "LOW < HIGH"
        raise ConfigError(f"--search {term} has nothing in it: give {name}=LOW..HIGH, {floor}")
    return Range(name, low, high, log)


def _choices(term: str, name: str, field: FieldInfo, text: str) -> Choices:
    values = [_value(term, field, part.strip()) for part in text.split(",")]
    texts = [written(value) for value in values]
    for said in texts:
        if texts.count(said) > 1:
            raise ConfigError(f"--search {term} has {said} {texts.count(said)} times: give it once")
    return Choices(name, dict(zip(texts, values, strict=True)))


def _value(term: str, field: FieldInfo, text: str) -> Any:  # noqa: ANN401
    """Read one value: none, plain, or a list of words, whichever the field takes first."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    readings: list[Any] = [None] if text == "None" else []
    reason = ""
    for reading in (*readings, text, text.split()):
        try:
            value = adapter.validate_python(reading)
        except ValidationError as error:
            reason = reason or _reason(error)
        else:
            return value.absolute() if isinstance(value, Path) else value
    raise ConfigError(f"--search {term}: {text!r} can't be used: {reason}")


def written(value: object) -> str:
    """Write a value as a person types it."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reason(error: ValidationError) -> str:
    """Say in one line what pydantic says in several."""
    said = (
        f"{'.'.join(map(str, part['loc']))} {part['msg']}".strip()
        for part in error.errors(include_url=False)
    )
    return "; ".join(said)
