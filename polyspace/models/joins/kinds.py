"""Which ways of joining there are."""

from typing import Literal

from polyspace.models.joins.attention import AttentionJoin
from polyspace.models.joins.concatenation import ConcatenatedJoin
from polyspace.models.joins.experts import ExpertsJoin
from polyspace.models.joins.gated import GatedJoin

JoinKind = Literal["gated", "concatenation", "attention", "experts"]
"""gated: each teacher is added through a gate of its own. concatenation: the classifier sees all
side by side. attention: each token weighs the teachers. experts: each token is sent to two."""

Join = GatedJoin | ConcatenatedJoin | AttentionJoin | ExpertsJoin

JOINS: dict[JoinKind, type[Join]] = {
    "gated": GatedJoin,
    "concatenation": ConcatenatedJoin,
    "attention": AttentionJoin,
    "experts": ExpertsJoin,
}
