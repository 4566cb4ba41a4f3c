"""As much of MLflow as a run needs, in memory; it keeps every point twice that it is told twice."""

import itertools
from types import SimpleNamespace

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST


class Forgetful:
    """A server whose answers are lost, and whose calls fail, as a plan says.

    Args:
        plan: For each call in turn: "works", "fails" (nothing is done) or "is lost" (it is done,
            and the caller doesn't hear of it). Beyond its end everything works.
    """

    def __init__(self, plan=()):
        self.plan = iter(plan)
        self.runs, self.ids, self.tags = {}, itertools.count(), {}

    def _call(self, do):
        what = next(self.plan, "works")
        if what == "fails":
            raise ConnectionError("refused")
        answer = do()
        if what == "is lost":
            raise ConnectionError("lost")
        return answer

    def get_experiment_by_name(self, name):
        return self._call(lambda: SimpleNamespace(experiment_id="1", tags=dict(self.tags)))

    def set_experiment_tag(self, experiment_id, name, value):
        return self._call(lambda: self.tags.update({name: value}))

    def search_experiments(self, view):
        return self._call(lambda: [SimpleNamespace(experiment_id="1")])

    def create_run(self, experiment_id, start_time, tags, run_name):
        def create():
            run_id = f"mlflow-{next(self.ids)}"
            self.runs[run_id] = SimpleNamespace(
                info=SimpleNamespace(
                    run_id=run_id,
                    experiment_id=experiment_id,
                    start_time=start_time,
                    lifecycle_stage="active",
                    status="RUNNING",
                ),
                data=SimpleNamespace(tags=dict(tags), params={}),
                points=[],
            )
            return self.runs[run_id]

        return self._call(create)

    def get_run(self, run_id):
        def get():
            if run_id not in self.runs:
                raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)
            return self.runs[run_id]

        return self._call(get)

    def search_runs(self, experiments, wanted, view, order_by, page_token):
        value = wanted.rpartition("= '")[2].removesuffix("'")
        found = [one for one in self.runs.values() if one.data.tags["polyspace.run"] == value]

        class Page(list):
            token = None

        return self._call(lambda: Page(found))

    def delete_run(self, run_id):
        def delete():
            self.runs[run_id].info.lifecycle_stage = "deleted"

        self._call(delete)

    def update_run(self, run_id, status):
        self._call(lambda: setattr(self.runs[run_id].info, "status", status))

    def set_terminated(self, run_id, status, end_time):
        self.update_run(run_id, status)

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        def log():
            run = self.runs[run_id]
            run.points += [(one.key, one.step, repr(one.value)) for one in metrics]
            run.data.params |= {one.key: one.value for one in params}
            run.data.tags |= {one.key: one.value for one in tags}

        self._call(log)

    def get_metric_history(self, run_id, key):
        def get():
            points = self.runs[run_id].points
            found = [(step, value) for name, step, value in points if name == key]
            return [SimpleNamespace(key=key, step=s, value=float(v)) for s, v in found]

        return self._call(get)
