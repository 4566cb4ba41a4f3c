"""How near translations come to what they should be."""

from polyspace.report.records.record import Estimate, Record, Share


class Dimensions(Record):
    """How evenly R² is spread over the dimensions of a space."""

    r2: tuple[float, ...]
    """Of the dimensions at every fifth percentile, the worst first."""
    below_mean: float
    """Share of the dimensions that are translated worse than by the training mean."""


class ClassAgreement(Record):
    """Agreement over the clips of one class."""

    clips: int
    r2: Share
    centred_cosine: Share


class Agreement(Record):
    """How near translated features come to the true ones."""

    r2: float
    cosine: float
    centred_cosine: float
    r2_own: float
    """In the teacher's own space."""
    centred_cosine_own: float
    dimensions: Dimensions
    dimensions_own: Dimensions
    classes: tuple[ClassAgreement, ...]
    """By class."""


class Retrieval(Record):
    """How translated clips find their own true features among everybody's."""

    top1: float
    top5: float
    mean_rank: float
    median_rank: float
    clips: int


class Recovered(Record):
    """Accuracy of a teacher's own classifier, on clips of classes that it knows by name."""

    classes: int
    clips: int
    true: float
    """On true features."""
    translated: float
    kept: float | None
    """Second over first; None where the first is 0."""


class Recovery(Record):
    """What of a teacher's own decisions is left when its features are translations."""

    source: str
    """Where its classifier is from."""
    classes: int
    clips: int
    agreement: Estimate
    """Share of clips of which it names the same class."""
    agreement_top5: float | None
    kl_nats: float
    ignorant: float
    """Agreement of a translation that says the teacher's training mean."""
    accuracy: Recovered | None
    """None where it knows no class of the data set."""
    note: str
