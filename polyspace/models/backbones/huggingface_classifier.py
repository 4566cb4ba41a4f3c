"""The classifiers of the transformers library's video encoders, loaded as strictly as those."""

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from polyspace.models.backbones.classifier import Classifier
from polyspace.models.backbones.huggingface import Family, located, weights_of
from polyspace.models.backbones.pretrained import read_network, read_settings
from polyspace.models.backbones.weights import Located


def load(family: Family, given: Mapping[str, str], *, device: torch.device) -> Classifier | str:
    """Find, check and load the classifier of one of the encoders; give it, or why there is none.

    The encoder is loaded with it, for its fingerprint, and let go again.

    Raises:
        WeightsError: Nothing was found, or it isn't a complete checkpoint of this architecture.
    """
    with located(family, given) as found:
        return _load(family, found, device)


def _load(family: Family, located: Located, device: torch.device) -> Classifier | str:
    settings, head = read_settings(family.name, located), family.head
    network, misfits = read_network(head.model, located, {})
    missing = {key for key in misfits.missing if key.startswith(_prefixes(head.parts))}
    if missing == {key for key in network.state_dict() if key.startswith(_prefixes(head.parts))}:
        return f"{located.source} holds an encoder without a classifier"
    misfits.beside(_spare(family)).refuse(
        f"{family.name} with its classifier from {located.source}"
    )
    parts = [getattr(network, part) for part in head.parts]
    if None in parts:
        return f"{located.source} is of a kind whose classifier reads a single token"
    encoder: PreTrainedModel = getattr(network, family.name)
    return Classifier(
        backbone=family.name,
        weights=weights_of(family, encoder, settings, located),
        class_names=_class_names(network.config),
        reads=head.reads,
        network=nn.Sequential(*parts).eval().requires_grad_(False).to(device),
    )


def _prefixes(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{part}." for part in parts)


def _spare(family: Family) -> tuple[str, ...]:
    """Give the prefixes of weights that neither encoding nor the classifier uses."""
    own = _prefixes(family.head.parts)
    spare = tuple(prefix for prefix in family.spare if not prefix.startswith(own))
    return spare + tuple(f"{family.name}.{prefix}" for prefix in spare)


def _class_names(config: PretrainedConfig) -> tuple[str, ...]:
    """Read the classes' names; transformers calls those that nobody named LABEL_0, LABEL_1, …."""
    names = tuple(label for _, label in sorted((config.id2label or {}).items()))
    return () if names == tuple(f"LABEL_{number}" for number in range(len(names))) else names
