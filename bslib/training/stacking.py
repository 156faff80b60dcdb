"""A stack: the networks of many members of one architecture, trained side by side.

Three ways, of which :func:`stack` takes the one that is fastest on the device:

``stacked``
    Flatten, Linear and ReLU layers, batch or group norm between the last two: all members'
    layers as batched matrix products, with the backward pass written out.
``vmap``
    any module without buffers, through ``torch.func``.
``loop``
    any module, member by member: the only way for other modules with buffers, and on a CPU
    the faster one for convolutions, whose batched form is a grouped convolution.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from bslib.data import Task
from bslib.refusal import Refusal
from bslib.training import flat
from bslib.training.linear_stack import LinearStack, layers_of
from bslib.training.module_stacks import LoopStack, VmapStack

STRATEGIES = ("stacked", "vmap", "loop")


class Stack(Protocol):
    """K members' networks over rows of one buffer, and the examples that they learn from."""

    strategy: str
    weights: Tensor  # (K, P): a row a member, its parameters in the order of the module's

    @property
    def state(self) -> list[Tensor]:
        """All tensors that a step changes, the update's own left out."""

    @property
    def example_bytes(self) -> int:
        """Bytes that an example takes in a step."""

    def part(self, rows: slice) -> "Stack":
        """Return the stack of some rows, sharing their memory."""

    def bind(self, into: Tensor, carry: float) -> None:
        """Accumulate gradients in ``into`` (K, P), after multiplying it by ``carry``.

        ``into`` may be the weights themselves.
        """

    def accumulate(self, index: Tensor | None, scale: Tensor | None, record: bool) -> Tensor | None:
        """Add ``scale`` (K, 1) times the gradient of each member's mean loss over its batch.

        ``index`` (K, b) picks the batches; None is all examples, for each member. Returns the
        mean losses (K,), before the step, if they are to be recorded.
        """

    def evaluate(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (K, b), and the share of targets that have the largest output, (K, b)."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""

    def module(self, row: int) -> nn.Module:
        """Return a module of its own with this row's weights and buffers."""


def choose(module: nn.Module, device: str, strategy: str = "auto") -> str:
    """Return the strategy; for "auto", the fastest that serves the module on a kind of device.

    Raises:
        Refusal: the strategy is unknown, or does not serve the module.
    """
    stateful = any(True for _ in module.buffers())
    convolves = any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules())
    serving = ["loop"]
    if not stateful:
        serving.insert(1 if convolves and device == "cpu" else 0, "vmap")
    if layers_of(module) is not None:
        serving.insert(0, "stacked")
    if strategy not in ("auto", *STRATEGIES):
        raise Refusal(f"strategy {strategy!r} is unknown; use 'auto' or {', '.join(STRATEGIES)}")
    if strategy not in ("auto", *serving):
        raise Refusal(f"strategy {strategy!r} does not serve this module; {serving} do")
    return serving[0] if strategy == "auto" else strategy


def stack(modules: Sequence[nn.Module], task: Task, strategy: str) -> Stack:
    """Stack modules for a task, on its device and in its inputs' dtype.

    Raises:
        Refusal: the modules are not alike, or draw random numbers of their own.
    """
    template, inputs = modules[0], task.train.inputs
    if any(_drops(part) for part in template.modules()):
        raise Refusal("dropout draws from the global generator, which trainings leave alone")
    if any(str(module) != str(template) for module in modules):
        raise Refusal("members are trained side by side: their modules must be alike")
    weights = flat.rows(modules, inputs)
    if strategy == "loop":
        return LoopStack(list(modules), weights, task.train, task.loss)
    if strategy == "vmap":
        return VmapStack(template, weights, task.train, task.loss)
    buffers = flat.buffers(modules, inputs)
    return LinearStack(template, weights, task.train, task.loss, buffers)


def _drops(part: nn.Module) -> bool:
    return isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
