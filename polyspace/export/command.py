"""The command that does something again, written from its configuration."""

import shlex

import tyro

from polyspace.config import Config


def command(module: str, config: Config) -> str:
    """Write what to type: options that differ from their defaults, and those that have none.

    Args:
        module: What is run, as ``python -m`` takes it.
        config: What its command line was parsed into.
    """
    fields = type(config).model_fields
    said = [f"python -m {module}"]
    for name, value in config:
        if value != fields[name].default:
            one_by_one = tyro.conf.UseAppendAction in fields[name].metadata
            said += _words(name.replace("_", "-"), value, one_by_one=one_by_one)
    return " ".join(said)


def _words(option: str, value: object, *, one_by_one: bool) -> list[str]:
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    values = [shlex.quote(str(part)) for part in (value if isinstance(value, tuple) else (value,))]
    if one_by_one:
        return [f"--{option} {part}" for part in values]
    return [f"--{option} {' '.join(values)}"]
