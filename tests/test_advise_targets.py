"""What a target of an advice may name."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bslib.advise import Problem, advise, targets
from bslib.advise.targets import Settings, find
from bslib.refusal import Refusal

EXAMPLE = Path(__file__).parent.parent / "examples" / "my_model.py"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of its own, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if "mine" in name:
            del sys.modules[name]


PROBLEM = """
import torch
from bslib.advise import Problem
def loss(model, batch):
    return model(batch).square().mean()
def build():
    return Problem(torch.nn.Linear(3, 1), loss, torch.randn(40, 3))
def asks(width):
    return build()
def with_default(width=3):
    return build()
def fails():
    raise RuntimeError("no such file")
def other():
    return torch.nn.Linear(3, 1)
number = 3
"""


def test_a_function_of_the_current_folder_is_found(folder: Path) -> None:
    """A module beside the user is imported, and its function gives the problem."""
    (folder / "mine_a.py").write_text(PROBLEM)
    found = find("mine_a:build")
    assert len(found.problem.dataset) == 40
    assert found.with_noise
    assert len(find("mine_a:with_default").problem.dataset) == 40


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("mine_b:absent", "has no 'absent'"),
        ("mine_b:number", "function without arguments"),
        ("mine_b:asks", "function without arguments"),
        ("mine_b:fails", "RuntimeError: no such file"),
        ("mine_b:other", "must return a bslib.advise.Problem, not a Linear"),
        ("nowhere_mine:build", "cannot be imported"),
        ("mine_b.py:build", "such as mine_b:build"),
        ("folder/mine_b:build", "such as mine_b:build"),
        (":build", "package.module:function"),
        ("mine_b:", "package.module:function"),
        ("mine_broken:build", "SyntaxError"),
    ],
)
def test_a_function_that_does_not_give_a_problem_is_refused(
    folder: Path, target: str, told: str
) -> None:
    """What is wrong with it is named, with the way to write it."""
    (folder / "mine_b.py").write_text(PROBLEM)
    (folder / "mine_broken.py").write_text("def build(:")
    with pytest.raises(Refusal, match=told):
        find(target)


def test_a_function_brings_its_own_settings(folder: Path) -> None:
    """Data or an optimiser besides those of the function are refused."""
    (folder / "mine_c.py").write_text(PROBLEM)
    for given in ({"task": "digits"}, {"settings": Settings(optimizer="adam")}):
        with pytest.raises(Refusal, match="brings its own data"):
            find("mine_c:build", **given)


def test_a_task_comes_with_its_model_or_another() -> None:
    """The weights are those of the seed, the optimiser the one that was named."""
    settings = Settings("linear", "momentum", 0.1, 16, seed=3)
    problem = find("digits", settings=settings).problem
    assert isinstance(problem.optimizer, torch.optim.SGD)
    assert problem.optimizer.param_groups[0]["momentum"] == 0.9
    assert (problem.rate, problem.batch_size) == (0.1, 16)
    same, other = (find("digits", settings=Settings("linear", seed=seed)) for seed in (3, 4))
    first = [next(iter(each.problem.model.parameters())) for each in (same, other)]
    mine = next(iter(problem.model.parameters()))
    assert torch.equal(first[0], mine)
    assert not torch.equal(first[1], mine)


@pytest.mark.parametrize(
    ("target", "task", "settings", "told"),
    [
        ("digit", None, Settings(), "did you mean 'digits'"),
        ("resnet", None, Settings(), "did you mean 'resnet"),
        ("digits", "mnist1d", Settings(), "data of its own"),
        ("digits", None, Settings(optimizer="lion", learning_rate=0.1), "'lion' is unknown"),
        ("digits", None, Settings(optimizer="adam"), "needs a learning rate"),
        ("digits", None, Settings(learning_rate=0.1), "belongs to an optimiser"),
        ("digits", None, Settings(model="resnet18"), "unknown"),
        ("resnet18", "mnist1d", Settings(), "takes images"),
        ("resnet18", None, Settings(model="mlp"), "leave out --model"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    target: str, task: str | None, settings: Settings, told: str
) -> None:
    """Unknown names come with those that are close; settings with what they lack."""
    with pytest.raises(Refusal, match=told):
        find(target, task=task, settings=settings)


def test_a_torchvision_model_takes_a_tasks_images() -> None:
    """Grey images become three equal channels, and the model has the task's classes."""
    before = torch.random.get_rng_state()
    found = find("squeezenet1_1", task="digits")
    assert torch.equal(before, torch.random.get_rng_state())
    image, _ = found.problem.dataset[0]
    assert image.shape == (3, 8, 8)
    assert torch.equal(image[0], image[2])
    last = [each for each in found.problem.model.modules() if isinstance(each, nn.Conv2d)][-1]
    assert last.out_channels == 10
    assert found.with_noise


def test_a_torchvision_model_alone_is_for_memory_and_throughput() -> None:
    """Without a task its images are of noise, at the size that it was made for."""
    found = find("inception_v3")
    assert not found.with_noise
    assert found.problem.dataset[5][0].shape == (3, 299, 299)
    assert find("resnet18").problem.dataset[5][0].shape == (3, 224, 224)


def test_the_example_is_ten_lines_and_gives_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation shows is what runs, with a learning rate in the advice."""
    lines = EXAMPLE.read_text().splitlines()
    aside = ('"""', "import", "from")
    code = [line for line in lines if line.strip() and not line.startswith(aside)]
    assert len(code) <= 10
    shown = EXAMPLE.read_text().partition("\n\n")[2]
    assert shown in (EXAMPLE.parent.parent / "README.md").read_text()
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    problem = targets.of_function("my_model:build")
    assert isinstance(problem, Problem)
    advice = advise(problem, device="cpu", budget_s=3, seed=1)
    assert advice.batch_size is not None
    assert advice.learning_rate is not None
