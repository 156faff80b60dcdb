"""Problems that cannot be advised on are refused at the door; odd ones that can be are served."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import problem_case
import pytest
import torch
from problem_case import Clock, Counted, Items
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from bslib import progress
from bslib.advise import Advice, Bars, Problem, advise, noise
from bslib.advise.examples import drawn
from bslib.advise.problem import SameOptimizer
from bslib.refusal import Refusal

# The first steps of a problem, and a look at whether its loss is a sum.
FIRST_CALLS = 8


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(problem_case.data())

    def __len__(self) -> int:
        return 96


class Plain(torch.optim.Optimizer):
    """An optimiser without a learning rate."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})


def frozen() -> nn.Module:
    return problem_case.mlp().requires_grad_(False)


def of_another_model(parameters: Any) -> torch.optim.Optimizer:
    return problem_case.adam(problem_case.mlp().parameters())


def at(rate: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=rate)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "resnet"}, "model must be a torch.nn.Module, not a str"),
        ({"model": nn.ReLU()}, "no parameter of the model requires a gradient"),
        ({"model": frozen()}, "no parameter of the model requires a gradient"),
        ({"model": nn.LazyLinear(3)}, "no shape yet: pass a batch through"),
        ({"loss": None}, "loss must be a function of .model, batch., not a NoneType"),
        ({"dataset": None}, "must have a length and items, which a NoneType has not"),
        ({"dataset": iter([1])}, "which a list_iterator has not; of an iterable data set, take"),
        ({"dataset": DataLoader(problem_case.data())}, "of a DataLoader, pass its .dataset"),
        ({"dataset": Stream()}, "which a Stream has not; of an iterable data set, take"),
        ({"dataset": [], "batch_size": None}, "0 examples, fewer than two batches of 1"),
        ({"dataset": problem_case.data(1), "batch_size": None}, "1 examples, fewer than two"),
        ({"dataset": problem_case.data(15)}, "15 examples, fewer than two batches of 8"),
        ({"batch_size": 0}, "batch_size must lie between 1 and the 96 examples, not be 0"),
        ({"batch_size": -8}, "between 1 and the 96 examples, not be -8"),
        ({"batch_size": 97}, "between 1 and the 96 examples, not be 97"),
        ({"batch_size": 49}, "96 examples, fewer than two batches of 49"),
        ({"batch_size": 8.0}, "batch_size must be a whole number, not 8.0"),
        ({"batch_size": "8"}, "batch_size must be a whole number, not '8'"),
        ({"batch_size": True}, "batch_size must be a whole number, not True"),
        ({"optimizer": "adam"}, "optimizer must be a torch.optim.Optimizer, not a str"),
        ({"optimizer": of_another_model}, "holds none of the model's parameters"),
        ({"optimizer": Plain}, "without a learning rate 'lr'"),
        ({"optimizer": at(0.0)}, "learning_rate must be a finite number above 0, not 0.0"),
        ({"optimizer": at(math.nan)}, "above 0, not nan"),
        ({"optimizer": problem_case.sgd, "learning_rate": 0.0}, "above 0, not 0.0"),
        ({"optimizer": problem_case.sgd, "learning_rate": -0.1}, "above 0, not -0.1"),
        ({"optimizer": problem_case.sgd, "learning_rate": math.inf}, "above 0, not inf"),
        ({"optimizer": problem_case.sgd, "learning_rate": "0.1"}, "above 0, not '0.1'"),
        ({"learning_rate": math.nan}, "above 0, not nan"),
    ],
)
def test_what_a_target_gives_is_checked(given: dict[str, Any], words: str) -> None:
    """Each field of the wrong kind or value is refused by name when the problem is made."""
    with pytest.raises(Refusal, match=words):
        problem_case.problem(**given)


def per_example(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def raising(model: nn.Module, batch: Any) -> Tensor:
    raise KeyError("logits")


def nan_gradient(model: nn.Module, batch: Any) -> Tensor:
    return (0 * model(batch[0])).sqrt().sum() + 1.0  # the root's slope at 0 times 0


plain = problem_case.cross_entropy
elsewhere = problem_case.mlp()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (per_example, r"one number, a scalar tensor, not shape \(2,\); take the mean"),
        (lambda model, batch: (plain(model, batch), 1), "returned a tuple: return the loss alone"),
        (lambda model, batch: None, "one number, a scalar tensor, not NoneType"),
        (lambda model, batch: plain(model, batch).item(), "a scalar tensor, not float"),
        (lambda model, batch: plain(model, batch) * (1 + 1j), "not a complex one"),
        (lambda model, batch: plain(model, batch).detach(), "no gradient: it is detached"),
        (lambda model, batch: plain(model, batch) * math.nan, "first step is nan: mend"),
        (lambda model, batch: plain(model, batch) - math.inf, "first step is -inf: mend"),
        (nan_gradient, "first gradient is not finite: mend"),
        (raising, "the loss failed on a first batch of 2: KeyError: 'logits'"),
        (lambda model, batch: plain(elsewhere, batch), "use the model that is passed"),
        (lambda model, batch: per_example(model, batch).sum(), "no mean over examples, but a sum"),
        (lambda model, batch: -per_example(model, batch).sum(), "but a sum; return the mean"),
    ],
)
def test_a_loss_is_tried_before_anything_is_measured(loss: Any, words: str) -> None:
    """A loss that is no finite mean with a gradient is refused after a few calls."""
    counted = Counted(loss)
    with pytest.raises(Refusal, match=words):
        advise(problem_case.problem(loss=counted), device="cpu", clock=Clock())
    assert 1 <= counted.calls <= FIRST_CALLS


@pytest.mark.parametrize("middle", [nn.Dropout(0.9), nn.BatchNorm1d(8)])
def test_a_sum_is_told_also_under_dropout_and_batch_norm(middle: nn.Module) -> None:
    """Neither hides that the loss grows with the batch."""
    model = problem_case.mlp(middle)
    asked = problem_case.problem(model, loss=lambda *given: per_example(*given).sum())
    with pytest.raises(Refusal, match="but a sum"):
        problem_case.subject(asked)


def test_a_mean_under_heavy_dropout_is_never_taken_for_a_sum() -> None:
    """Of forty seeds none is refused, although the loss of two examples varies manifold."""
    model = problem_case.mlp(nn.Dropout(0.95))
    with torch.no_grad():
        model[0].weight.mul_(30)
    asked = problem_case.problem(model)
    pair = [each[:2] for each in problem_case.pairs()]
    losses = []
    for seed in range(40):
        torch.manual_seed(seed)
        losses.append(float(plain(model, pair).detach()))
        problem_case.subject(asked, seed=seed)
    assert max(losses) > 3 * min(losses)


def test_chance_must_look_like_a_sum_three_times() -> None:
    """A loss that is random in evaluation mode too, and doubles twice by chance, is let pass."""
    factors = iter([1.0, 2.0, 1.0, 2.0, 1.0, 1.0])

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return plain(model, batch) * (1.0 if model.training else next(factors))

    assert problem_case.subject(problem_case.problem(loss=loss)).smallest == 1
    assert next(factors, None) is None


def test_a_batch_is_read_as_it_is() -> None:
    """Numbers, arrays in dicts, nested tuples: the loss sees what torch's collation makes."""
    inputs, targets = problem_case.pairs()
    items = Items(96, lambda row: {"x": inputs[row].numpy(), "y": (int(targets[row]), row / 96)})

    def loss(model: nn.Module, batch: Any) -> Tensor:
        classes, shares = batch["y"]
        assert classes.dtype == torch.int64
        assert shares.dtype == torch.float64
        return functional.cross_entropy(model(batch["x"]), classes)

    assert problem_case.subject(problem_case.problem(dataset=items, loss=loss)).held == 96


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (lambda row: (torch.zeros(2 + row % 5), 0), "do not make a batch.*padded where"),
        (
            lambda row: (torch.zeros(2), "cat"),
            r"an item holds a str at item\[1\]: items are tensors.*leave out",
        ),
        (lambda row: (torch.zeros(2), None), "do not make a batch: TypeError"),
        (lambda row: (), "an item holds nothing"),
        (lambda row: {"x": 0, "name": "cat"}, r"a str at item\['name'\]: "),
        (lambda row: {}[row], r"item (\d+) cannot be read: KeyError: \1"),
        (lambda row: {"x": torch.zeros(2)} if row % 2 else (torch.zeros(2),), "do not make a"),
    ],
)
def test_items_that_make_no_batch_are_refused(item: Any, words: str) -> None:
    """Unequal shapes, words, nothing, and items that fail are refused before the first loss."""
    counted = Counted(plain)
    asked = problem_case.problem(dataset=Items(96, item), loss=counted)
    with pytest.raises(Refusal, match=words):
        problem_case.subject(asked)
    assert counted.calls == 0


def test_an_odd_item_out_is_refused_wherever_it_comes() -> None:
    """One item longer than all others is found, also where it is collated by itself."""
    for seed in range(6):
        items = Items(3, lambda row: torch.zeros(4 if row else 5))
        asked = problem_case.problem(dataset=items, batch_size=1)
        with pytest.raises(Refusal, match="do not make a batch"):
            problem_case.subject(asked, seed=seed)


def test_slow_data_are_read_only_for_a_while() -> None:
    """Where an item takes a second, three seconds' patience ends after four of them."""
    clock = Clock(0.0)

    def item(row: int) -> tuple[Tensor, int]:
        clock.now += 1.0
        return torch.zeros(problem_case.FEATURES), row % 3

    asked = problem_case.problem(dataset=Items(5_000, item))
    found = problem_case.subject(asked, patience_s=3.0, clock=clock)
    assert (found.held, found.load_s, found.size) == (4, 1.0, 5_000)


def test_a_class_derived_from_tensor_dataset_is_read_item_by_item() -> None:
    """What it makes of its tensors counts, not the tensors."""

    class Doubled(TensorDataset):
        def __getitem__(self, row: int) -> Any:
            inputs, target = super().__getitem__(row)
            return 2 * inputs, target

    inputs, targets = problem_case.pairs()
    asked = problem_case.problem(dataset=Doubled(inputs, targets))
    held = problem_case.subject(asked).examples[0]
    assert sorted(held[:, 0].tolist()) == sorted((2 * inputs[:, 0]).tolist())


@pytest.mark.parametrize(("size", "most"), [(10, 20), (100, 20), (1_000_000, 500)])
def test_examples_are_drawn_once_each_and_anew_for_a_seed(size: int, most: int) -> None:
    """Rows differ from each other; a seed gives them again, another gives others."""
    rows = drawn(size, most, problem_case.generator(1))
    assert len(set(rows.tolist())) == len(rows)
    assert 0.9 * min(size, most) <= len(rows) <= most
    assert rows.min() >= 0
    assert rows.max() < size
    assert torch.equal(rows, drawn(size, most, problem_case.generator(1)))
    assert not torch.equal(rows, drawn(size, most, problem_case.generator(2)))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 4), nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.embedding(rows).mean(dim=1))
        return outputs


class Tied(nn.Module):
    """Two layers with one weight, and a third that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(6, 6)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(inputs).relu())
        return outputs


class Branching(nn.Module):
    """Runs other operations on odd batches than on even ones, and looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.first(inputs)
        if len(inputs) % 2 and inputs.sum() > -1e9:
            outputs = outputs + self.second(inputs).relu()
        return outputs


def squeezed(model: nn.Module, batch: Any) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(batch[0]).squeeze(), batch[1])


def advised(asked: Problem, **given: Any) -> Advice:
    return advise(asked, device="cpu", **{"budget_s": 5.0, "clock": Clock()} | given)


def test_integers_go_in_as_they_are() -> None:
    """A model of words is advised on."""
    words = torch.randint(10, (96, 5), generator=problem_case.generator())
    dataset = TensorDataset(words, problem_case.pairs()[1])
    found = advised(problem_case.problem(Words(), dataset=dataset, optimizer=problem_case.adam))
    assert found.batch_size is not None


def test_tied_and_unused_parameters_are_no_obstacle() -> None:
    """A parameter without a gradient leaves Adam's metric to the others."""
    found = advised(problem_case.problem(Tied(), optimizer=problem_case.adam))
    assert found.asked.parameters == 6 * 6 + 6 + 6 + 6 * 6 + 6
    assert found.noise is not None
    assert found.noise.metric == "Adam's"


def test_without_a_law_of_memory_advice_still_comes_and_says_so() -> None:
    """A model whose operations depend on the batch has no law, and its data alone are a cap."""
    found = advised(problem_case.problem(Branching()))
    assert found.batch_size is not None
    assert found.memory.largest is None
    assert found.largest == found.throughput.times["batch_size"].max()
    assert any("no law of its memory" in each for each in found.not_measured)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (problem_case.mlp(nn.BatchNorm1d(8)), plain),
        (problem_case.seeded(lambda: nn.Linear(6, 1)), squeezed),
    ],
)
def test_where_one_example_is_not_enough_two_are_the_smallest(model: Any, loss: Any) -> None:
    """Batch norm of vectors, and a squeeze too many, work from batches of two on."""
    inputs, targets = problem_case.pairs()
    dataset = TensorDataset(inputs, targets if loss is plain else targets / 2.0)
    found = advised(problem_case.problem(model, loss=loss, dataset=dataset))
    assert found.throughput.times["batch_size"].min() == 2
    assert found.curve["batch_size"].min() == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_types_are_measured_in_them(dtype: torch.dtype) -> None:
    """Double and brain floats go through; gradients of the latter are summed in single."""
    inputs, targets = problem_case.pairs()
    dataset = TensorDataset(inputs.to(dtype), targets)
    model = problem_case.mlp().to(dtype)
    found = advised(problem_case.problem(model, dataset=dataset, optimizer=problem_case.sgd))
    assert found.noise is not None
    assert found.noise.critical_batch_size.value is not None


def test_no_noise_and_no_signal_give_no_false_certainty() -> None:
    """Of a model that has nothing left to learn the critical batch size is refused."""
    model = nn.Linear(6, 1, bias=False)
    nn.init.zeros_(model.weight)
    found = advised(
        problem_case.problem(model, loss=lambda model, batch: model(batch[0]).square().mean())
    )
    assert found.noise is not None
    assert found.noise.critical_batch_size.value is None
    assert found.best.value is None


def test_a_training_that_diverges_leaves_advice_on_memory_and_throughput() -> None:
    """With a rate far too high, no batch size is named, and the reason is given."""
    found = advised(problem_case.problem(optimizer=at(1e30)))
    assert (found.batch_size, found.flat_region, found.noise) == (None, None, None)
    assert any("diverged" in each for each in found.not_measured)


def test_a_training_whose_loss_grows_and_stays_finite_diverged() -> None:
    """Weights that double at every step leave no noise and no certainty, and the rate is named."""
    inputs = problem_case.pairs()[0].double()
    model = problem_case.seeded(lambda: nn.Linear(problem_case.FEATURES, 1)).double()
    asked = problem_case.problem(
        model, dataset=TensorDataset(inputs), optimizer=at(1.5),
        loss=lambda model, batch: model(batch[0]).square().mean(),
    )  # fmt: skip
    found = advised(asked)
    assert (found.batch_size, found.certain, found.noise) == (None, False, None)
    (said,) = (each for each in found.not_measured if "the training diverged" in each)
    assert "inf" not in said
    assert said.endswith("at learning rate 1.5; take a lower one")


def test_a_lucky_first_batch_is_no_divergence() -> None:
    """Last batches are held against the first weights' loss on them, not on the first batch."""
    training = noise._Training(
        problem_case.subject(problem_case.problem()), 8, problem_case.generator()
    )
    for _ in range(8):
        training.advance()
    assert training.diverged() == ""
    training.first = 1e-6
    assert training.diverged() == ""
    with torch.no_grad():
        training.recent[-1].mul_(1e3)
    assert "in 8 steps" in training.diverged()


@pytest.mark.parametrize(
    ("schedule", "rate", "own"),
    [
        (lambda each: lr_scheduler.LambdaLR(each, lambda step: (step + 1) / 100), 0.001, 0.1),
        (lambda each: lr_scheduler.OneCycleLR(each, max_lr=0.5, total_steps=100), 0.02, 0.5),
    ],
)
def test_a_rate_in_warm_up_is_not_taken_for_the_one_in_use(
    schedule: Any, rate: float, own: float
) -> None:
    """A scheduler's passing rate is refused with its own named, unless one is given."""
    model = problem_case.mlp()
    optimizer = problem_case.sgd(model.parameters())
    schedule(optimizer)
    words = rf"learning rate at {rate:g} now.*Problem\(learning_rate={own:g}\)"
    with pytest.raises(Refusal, match=words):
        problem_case.problem(model, optimizer=optimizer)
    assert problem_case.problem(model, optimizer=optimizer, learning_rate=own).rate == own
    for group in optimizer.param_groups:
        group["lr"] = own
    assert problem_case.problem(model, optimizer=optimizer).rate == own


def test_a_compiled_model_is_measured_as_it_is_without_and_says_so() -> None:
    """What is measured is the module that was compiled, bit by bit, and the report tells."""
    model = problem_case.mlp()
    compiled = torch.compile(model, backend="eager")
    subject = problem_case.subject(problem_case.problem(compiled))
    assert type(subject.module) is nn.Sequential
    found, own = (
        advised(problem_case.problem(each, optimizer=problem_case.sgd))
        for each in (compiled, model)
    )
    assert found.batch_size == own.batch_size
    assert any("torch.compile" in each for each in found.not_measured)
    assert not any("torch.compile" in each for each in own.not_measured)


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, "0"])
def test_advise_is_given_a_problem_and_a_seed(seed: Any) -> None:
    """A bare model, and what is no seed, are refused by name."""
    with pytest.raises(Refusal, match=r"takes a bslib.advise.Problem.*not a Sequential"):
        advise(problem_case.mlp())  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="seed must be a whole number from 0 on"):
        advised(problem_case.problem(), seed=seed)


def test_bars_leave_the_line_to_what_comes_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar is removed before another is drawn, and all when closed: only blanks are left."""
    monkeypatch.setattr(progress, "get_ipython", lambda: None)
    bars = Bars()
    bars("examples", 0, 1)
    bars("memory", 0, 1)
    shown = capsys.readouterr().err
    assert shown.index("\r" + " " * 20) < shown.index("memory")
    bars.close()
    assert capsys.readouterr().err.endswith(" \r")


def test_an_optimizer_that_wants_a_closure_is_refused_at_once() -> None:
    """LBFGS takes no step without a closure, and that is found before anything is measured."""
    counted = Counted(plain)
    asked = problem_case.problem(loss=counted, optimizer=torch.optim.LBFGS)
    with pytest.raises(Refusal, match=r"a step of LBFGS without a closure failed.*closure"):
        advise(asked, device="cpu", clock=Clock())
    assert counted.calls <= FIRST_CALLS


def test_memory_too_small_for_one_example_is_refused_before_it_is_timed() -> None:
    """The message says what one example needs and what is allowed."""
    counted = Counted(plain)
    with pytest.raises(Refusal, match=r"no memory even for a batch of 1: .* are allowed"):
        advise(problem_case.problem(loss=counted), device="cpu", memory_bytes=100, clock=Clock())
    # the law takes two steps at each of three sizes
    assert counted.calls <= FIRST_CALLS + 6


def test_examples_with_a_gradient_of_their_own_are_taken_without() -> None:
    """Tensors that require a gradient, or were computed, train nothing but the model."""
    inputs, targets = problem_case.pairs()
    inputs.requires_grad_()
    found = advised(problem_case.problem(dataset=TensorDataset(2 * inputs, targets)))
    assert found.noise is not None
    assert inputs.grad is None


def test_layers_kept_in_evaluation_mode_stay_so() -> None:
    """A frozen batch norm within a model that trains does not join examples."""
    model = problem_case.mlp(nn.BatchNorm1d(8))
    assert problem_case.subject(problem_case.problem(model.eval())).normalises_over_batch
    model.train()
    model[1].eval()
    found = problem_case.subject(problem_case.problem(model))
    assert not found.normalises_over_batch
    assert found.smallest == 1


def test_the_optimizers_copy_takes_the_same_step() -> None:
    """From one state and gradient, copy and original move by the same bits, frozen ones not."""
    model = problem_case.mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
    model[0].bias.requires_grad_(False)
    asked = problem_case.problem(model, optimizer=optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        plain(model, problem_case.pairs(8)).backward()
        optimizer.step()
    module, twin = problem_case.subject(asked).trainee()
    for each, taken in ((model, optimizer), (module, twin)):
        taken.zero_grad()
        plain(each, problem_case.pairs(16)).backward()
        taken.step()
    pairs = zip(model.parameters(), module.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_given_rate_replaces_the_optimizers_in_proportion() -> None:
    """Groups keep their ratio; where a warm-up starts at 0 all take the rate that is given."""
    model = problem_case.mlp()
    first, *others = model.parameters()
    for rates, wanted in (((0.1, 0.2), [0.05, 0.1]), ((0.0, 0.0), [0.05, 0.05])):
        groups = [{"params": [first], "lr": rates[0]}, {"params": others, "lr": rates[1]}]
        optimizer = torch.optim.SGD(groups, lr=1.0)
        asked = problem_case.problem(model, optimizer=optimizer, learning_rate=0.05)
        made = SameOptimizer(asked, factor=1.0)(asked.trained)
        assert [group["lr"] for group in made.param_groups] == pytest.approx(wanted, rel=1e-12)
        assert [group["lr"] for group in optimizer.param_groups] == list(rates)
        still = SameOptimizer(asked)(asked.trained)
        assert [group["lr"] for group in still.param_groups] == [0.0, 0.0]
