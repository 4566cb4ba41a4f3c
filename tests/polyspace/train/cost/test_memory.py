from dataclasses import replace

import numpy as np

from polyspace.train.cost import bench, memory, routes
from polyspace.train.cost.memory import Job, Peak
from polyspace.train.cost.timing import Effort
from tests.support.filmed import STUDENT, TEACHERS, distil

QUICK = Effort(batch=6, videos=1)


def job(filmed):
    """Say how to run the path of all backbones."""
    clips = filmed.clips()
    model = distil(clips, TEACHERS)
    table = bench.equip(clips, (STUDENT, *TEACHERS), {}, filmed.root, QUICK)
    shapes = {name: clips.shape(name) for name in (STUDENT, *TEACHERS)}
    route = next(route for route in routes.routes(model, shapes) if route.name == "true_teachers")
    return Job(route, table.sources, table.setup, threads=1, clip=table.shown)


def test_a_path_is_measured_by_itself(filmed):
    ballast = np.ones(2**26)  # half a gigabyte that is none of the path's business
    good = job(filmed)
    source = replace(good.sources[STUDENT], fingerprint="0" * 64)
    broken = replace(good, sources={**good.sources, STUDENT: source})
    found = memory.of_paths({"good": good, "broken": broken})
    peak = found["good"]
    assert isinstance(peak, Peak)
    assert 0 < peak.one <= peak.batched < ballast.nbytes / 2
    # Six clips' activations are more than one's.
    assert peak.batched > peak.one
    assert "is not what the features were made with" in str(found["broken"])
