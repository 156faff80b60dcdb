"""Advising leaves a problem, and the process, as they were, to the bit, however it ends."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import problem_case
import pytest
import torch
from problem_case import Clock, Items
from torch import Tensor, nn

from bslib.advise import Problem, advise
from bslib.refusal import Refusal

BUDGET_S = 5.0


def drawing(size: int = 48) -> Items:
    """Return a data set that draws from all three global generators for each item."""

    def item(row: int) -> tuple[Tensor, int]:
        noise = torch.randn(problem_case.FEATURES) + random.random() + np.random.rand()  # noqa: NPY002
        return noise, row % problem_case.CLASSES

    return Items(size, item)


def network() -> nn.Sequential:
    return problem_case.mlp(nn.BatchNorm1d(8), nn.Dropout(0.5))


def momentum(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def amsgrad(parameters: Any) -> torch.optim.Optimizer:
    weights, *others = parameters
    groups = [{"params": [weights], "lr": 0.02}, {"params": others}]
    return torch.optim.AdamW(groups, lr=0.01, amsgrad=True)


def scheduled(parameters: Any) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam(parameters, lr=torch.tensor(0.01))
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # replaces the optimiser's own step
    return optimizer


def trained(asked: Problem, steps: int = 3) -> Problem:
    """Take real steps, and leave a gradient behind on all parameters but the first."""
    assert asked.optimizer is not None
    for _ in range(steps):
        asked.optimizer.zero_grad()
        problem_case.cross_entropy(asked.model, problem_case.pairs(8)).backward()
        asked.optimizer.step()
    next(asked.model.parameters()).grad = None
    return asked


def mixed(model: nn.Sequential) -> None:
    model[1].eval()


OPTIMIZERS = {"none": None, "momentum": momentum, "adam": problem_case.adam, "amsgrad": amsgrad,
              "scheduled": scheduled}  # fmt: skip
MODES: dict[str, Callable[[nn.Sequential], object]] = {
    "training": nn.Module.train, "evaluation": nn.Module.eval, "mixed": mixed,
}  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "steps", "mode"),
    [
        ("none", 0, "evaluation"),
        ("momentum", 0, "training"),
        ("momentum", 3, "mixed"),
        ("adam", 0, "evaluation"),
        ("adam", 3, "training"),
        ("amsgrad", 0, "mixed"),
        ("amsgrad", 3, "evaluation"),
        ("scheduled", 3, "training"),
    ],
)
def test_all_is_left_as_it_was(optimizer: str, steps: int, mode: str) -> None:
    """With batch norm, dropout and data that draw, nothing has changed by a bit."""
    model = network()
    MODES[mode](model)
    asked = problem_case.problem(model, dataset=drawing(), optimizer=OPTIMIZERS[optimizer])
    if steps:
        trained(asked, steps)
    torch.rand(3)
    before = problem_case.everything(asked)
    advice = advise(asked, device="cpu", budget_s=BUDGET_S, clock=Clock())
    assert advice.noise is not None
    assert advice.memory.confirmed
    assert problem_case.differences(before, problem_case.everything(asked)) == []


class Fails:
    """A loss that raises at its ``last`` call and all later ones."""

    def __init__(self, last: int, error: type[BaseException]) -> None:
        self.calls, self.last, self.error = 0, last, error

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        if self.calls >= self.last:
            raise self.error("enough")
        return problem_case.cross_entropy(model, batch)


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
@pytest.mark.parametrize("last", [2, 20, 60])
def test_all_is_left_as_it_was_when_it_is_cut_short(last: int, error: type[BaseException]) -> None:
    """A loss that raises, and a user who interrupts, find everything as it was."""
    model = network()
    asked = problem_case.problem(
        model, dataset=drawing(), optimizer=momentum, loss=Fails(last, error)
    )
    trained(asked)
    before = problem_case.everything(asked)
    with pytest.raises((error, Refusal)):
        advise(asked, device="cpu", budget_s=BUDGET_S, clock=Clock())
    assert problem_case.differences(before, problem_case.everything(asked)) == []


def test_a_loss_that_reaches_the_model_itself_leaves_no_trace() -> None:
    """Statistics and gradients that such a loss leaves on the model are undone."""
    model = network()

    def both(copy: nn.Module, batch: Any) -> Tensor:
        loss = problem_case.cross_entropy
        return loss(copy, batch) + loss(model.eval(), batch) + loss(model.train(), batch)

    asked = trained(problem_case.problem(model.eval(), loss=both, optimizer=momentum))
    before = problem_case.everything(asked)
    advise(asked, device="cpu", budget_s=BUDGET_S, clock=Clock())
    assert problem_case.differences(before, problem_case.everything(asked)) == []


def test_a_criterion_of_the_optimizers_gets_no_gradient() -> None:
    """Parameters that the loss holds and the optimiser trains keep their gradients too."""
    head = nn.Linear(problem_case.CLASSES, problem_case.CLASSES)
    model = problem_case.mlp()

    def loss(module: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(head(module(batch[0])), batch[1])

    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.01)
    asked = problem_case.problem(model, loss=loss, optimizer=optimizer)
    weights = head.weight.detach().clone()
    advise(asked, device="cpu", budget_s=BUDGET_S, clock=Clock())
    assert head.weight.grad is None
    assert head.bias.grad is None
    assert torch.equal(head.weight, weights)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_callers_without_gradients_get_advice(context: Callable[[], Any]) -> None:
    """Under no_grad and inference_mode it measures all the same, and both still hold after."""
    asked = problem_case.problem(optimizer=problem_case.adam)
    with context():
        before = problem_case.everything(asked)
        advice = advise(asked, device="cpu", budget_s=BUDGET_S, clock=Clock())
        assert problem_case.differences(before, problem_case.everything(asked)) == []
    assert advice.noise is not None
