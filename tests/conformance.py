"""What every workload must be able to do under the one training loop.

A workload's tests subclass `WorkloadConformance` and give the fixture `fresh`, a function that
makes an untrained workload; pytest names the fixture where it is missing.
"""

from itertools import islice
from typing import Any

import pytest
import torch

from polyspace.engine import checkpoint
from polyspace.engine.loop import Step, Training
from polyspace.engine.optimizer import OptimizerName
from polyspace.engine.recipe import Recipe
from polyspace.engine.workload import Workload
from polyspace.precision import PrecisionName, resolve

CPU = torch.device("cpu")


class SteadyConformance:
    """What every combination of parts is tested for: types and interruptions change nothing."""

    epochs = 4
    lr = 3e-3
    optimizer: OptimizerName = "adamw"
    bf16_tolerance = 0.05
    """Largest relative difference between the last epoch's mean losses in bf16 and in fp32."""

    def test_bfloat16_agrees_with_float32(self, fresh):
        exact, rounded = (
            self.mean_loss(self.run(fresh(), compute), self.epochs) for compute in ("fp32", "bf16")
        )
        assert rounded == pytest.approx(exact, rel=self.bf16_tolerance)

    @pytest.mark.parametrize("compute", ["fp32", "fp16"])  # bf16 keeps nothing of its own
    def test_a_run_that_is_taken_up_again_gives_the_bits_of_one_that_was_not(
        self, fresh, tmp_path, compute
    ):
        whole = fresh()
        steps = self.run(whole, compute)
        for stop in (1, whole.steps + whole.steps // 2, len(steps) - 1):
            first, second = fresh(), fresh()
            torch.manual_seed(0)
            stopped = self.training(first, compute)
            begun = list(islice(stopped.steps(), stop))
            path = checkpoint.save(tmp_path / "run.pt", "run", stopped.state_dict())
            torch.manual_seed(1)
            going = self.training(second, compute)
            going.load_state_dict(checkpoint.load(path, "run"))
            assert begun + list(going.steps()) == steps
            for name, value in whole.model.state_dict().items():
                assert torch.equal(value, second.model.state_dict()[name]), name

    def run(self, workload: Workload[Any, Any], compute: PrecisionName = "fp32") -> list[Step]:
        """Train with every draw (dropout, too) seeded."""
        torch.manual_seed(0)
        return list(self.training(workload, compute).steps())

    def training(
        self, workload: Workload[Any, Any], compute: PrecisionName = "fp32"
    ) -> Training[Any, Any]:
        """Make a run of a workload."""
        recipe = Recipe(epochs=self.epochs, lr=self.lr, weight_decay=0.0, optimizer=self.optimizer)
        return Training(workload, recipe, precision=resolve(compute, CPU), device=CPU)

    @staticmethod
    def mean_loss(steps: list[Step], epoch: int) -> float:
        values = [step.losses["loss"] for step in steps if step.epoch == epoch]
        return sum(values) / len(values)


class WorkloadConformance(SteadyConformance):
    """What each workload is tested for."""

    def test_it_is_a_workload(self, fresh):
        assert isinstance(fresh(), Workload)

    def test_an_epoch_has_as_many_batches_as_it_says(self, fresh):
        workload = fresh()
        assert len(list(workload.batches(1))) == workload.steps

    def test_an_epoch_can_be_taken_up_at_any_batch(self, fresh):
        workload = fresh()
        whole = [self.loss_of(workload, batch) for batch in workload.batches(1)]
        for start in range(workload.steps + 1):
            rest = workload.batches(1, start=start)
            assert [self.loss_of(workload, batch) for batch in rest] == whole[start:]

    def test_a_few_epochs_lower_the_loss(self, fresh):
        steps = self.run(fresh())
        assert self.mean_loss(steps, self.epochs) < self.mean_loss(steps, 1)

    def test_the_loss_is_the_sum_of_its_terms_in_float32(self, fresh):
        workload = fresh()
        batch = next(iter(workload.batches(1)))
        with resolve("bf16", CPU).autocast(CPU):
            outputs = workload.forward(batch)
        assert {term.dtype for term in workload.loss(outputs, batch).values()} == {torch.float32}

    def test_float16_with_its_scaler_agrees_with_float32(self, fresh):
        exact, rounded = (
            self.mean_loss(self.run(fresh(), compute), self.epochs) for compute in ("fp32", "fp16")
        )
        assert rounded == pytest.approx(exact, rel=self.bf16_tolerance)

    def test_equal_seeds_give_equal_bits(self, fresh):
        first, second = fresh(), fresh()
        assert self.run(first) == self.run(second)
        for name, value in first.model.state_dict().items():
            assert torch.equal(value, second.model.state_dict()[name]), name

    def test_scoring_draws_nothing_and_moves_no_weight(self, fresh):
        workload = fresh()
        workload.model.eval()
        before = {name: value.clone() for name, value in workload.model.state_dict().items()}
        with torch.no_grad():
            assert workload.score() == workload.score()
        for name, value in workload.model.state_dict().items():
            assert torch.equal(value, before[name]), name

    @staticmethod
    def loss_of(workload: Workload[Any, Any], batch: Any) -> list[float]:
        """Tell batches apart by what an untrained model loses on them."""
        workload.model.eval()
        with torch.no_grad():
            terms = workload.loss(workload.forward(batch), batch)
        return [float(term) for term in terms.values()]
