"""The arm on JAX: all members in one ``jit``, their steps under ``scan``, all on the device.

There are several ways to write it, and which is quickest depends on model and device: members
under ``vmap``, or one after the other under ``map``, as suits a core's cache; a convolution as
XLA's own, or as a product with the patches of the images. An arm tries them and takes the
quickest. Float32 is float32 here: a GPU's default would let products round to TF32.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from arms import MOMENTUM, RATE, WORK, Arm, Spent, Stopwatch
from torch import Tensor, nn

from bslib.data import Task

jax.config.update("jax_default_matmul_precision", "highest")

TRIAL_EXAMPLES, TRIALS = 1_024, 3  # of each member; trials of a way

# A member's batches (steps, b), from what is given of it and the number of examples.
Orders = Callable[[jax.Array, int], jax.Array]


@dataclass(frozen=True)
class Way:
    """One way to write the training of all members.

    Attributes:
        convolve: a convolution that keeps the image's size; none in an MLP.
        at_once: members under ``vmap``, not one after the other.
        unroll: steps that are one turn of the loop.
        on_cpu: whether it is worth a trial there.
    """

    name: str
    convolve: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    at_once: bool = True
    unroll: int = 1
    on_cpu: bool = True


class Trainer:
    """Networks of one model, all on the device, and their training in any way."""

    def __init__(self, task: Task, model: str, modules: Sequence[nn.Module]) -> None:
        images = task.train.inputs.cpu().numpy().transpose(0, 2, 3, 1)
        self.inputs = jnp.asarray(images.reshape(len(images), -1) if model == "mlp" else images)
        self.targets = jnp.asarray(task.train.targets.cpu().numpy().astype(np.int32))
        self.model, self.modules, self.compile_s = model, modules, 0.0
        parameters = jax.tree.map(lambda *each: jnp.stack(each), *map(from_torch, modules))
        self.initial = parameters, jax.tree.map(jnp.zeros_like, parameters)

    def compiled(
        self, way: Way, orders: Orders, given: jax.Array
    ) -> Callable[[], Callable[[], Any]]:
        """Return what copies the start, which a run gives away, and returns the run."""
        outputs = partial(_mlp if self.model == "mlp" else _cnn, way)

        def every(state: Any, given: jax.Array, x: jax.Array, y: jax.Array) -> Any:
            def one(state: Any, given: jax.Array) -> Any:
                step = partial(_step, outputs, x, y)
                return jax.lax.scan(step, state, orders(given, len(y)), unroll=way.unroll)[0]

            if way.at_once:
                return jax.vmap(one)(state, given)
            return jax.lax.map(lambda each: one(*each), (state, given))

        arguments = given, self.inputs, self.targets
        began = time.perf_counter()
        program = jax.jit(every, donate_argnums=0).lower(self.initial, *arguments).compile()
        self.compile_s = time.perf_counter() - began

        def prepare() -> Callable[[], Any]:
            state = jax.block_until_ready(jax.tree.map(jnp.copy, self.initial))
            return lambda: jax.block_until_ready(program(state, *arguments))

        return prepare

    def quickest(self, batch_size: int) -> Way:
        """Try the ways that suit the device, for a few steps each."""
        on_cpu = jax.default_backend() == "cpu"
        shape = len(self.modules), max(1, TRIAL_EXAMPLES // batch_size), batch_size
        batches = jax.random.randint(jax.random.key(1), shape, 0, len(self.targets))
        ways = [way for way in WAYS[self.model] if way.on_cpu or not on_cpu]
        return min(ways, key=lambda way: self._trial(way, batches))

    def _trial(self, way: Way, batches: jax.Array) -> float:
        prepare, times = self.compiled(way, _given, batches), []
        for _ in range(TRIALS):
            run, began = prepare(), time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        return min(times)


class Sweep:
    """The arm of bench_gpu.py: a call draws the orders of the epochs and takes the steps.

    Attributes:
        way: the quickest one's name.
        compile_s: what compiling it took, in seconds; no call's time holds it.
    """

    def __init__(
        self, task: Task, model: str, modules: Sequence[nn.Module], batch_size: int, steps: int
    ) -> None:
        trainer = Trainer(task, model, modules)
        keys = jax.random.split(jax.random.key(0), len(modules))
        way = trainer.quickest(batch_size)
        self._prepare = trainer.compiled(way, _drawn(batch_size, steps), keys)
        self._examples = len(modules) * batch_size * steps
        self.way, self.compile_s = way.name, trainer.compile_s

    def __call__(self) -> Spent:
        """Train from the start."""
        run, watch = self._prepare(), Stopwatch()
        watch()
        run()
        watch()
        return watch.spent(self._examples)


def scan(task: Task, model: str) -> Arm:
    """The arm of bench_training.py; the order of the examples is given to it."""
    build, members = WORK[model]
    trainer = Trainer(task, model, [build(task, seed=seed) for seed in range(members)])
    order = np.random.default_rng(1)
    ways: dict[int, Way] = {}
    compiled: dict[tuple[int, int], Any] = {}

    def batches(batch_size: int, steps: int) -> jax.Array:
        shape = (members, steps, batch_size)
        return jnp.asarray(order.integers(0, len(task.train), shape, dtype=np.int32))

    def run(batch_size: int, steps: int) -> Spent:
        if batch_size not in ways:
            ways[batch_size] = trainer.quickest(batch_size)
        key = batch_size, steps
        if key not in compiled:
            compiled[key] = trainer.compiled(ways[batch_size], _given, batches(*key))
        call, watch = compiled[key](), Stopwatch()
        watch()
        call()
        watch()
        return watch.spent(members * batch_size * steps)

    return run


def trained(
    task: Task, model: str, modules: Sequence[nn.Module], order: Tensor, way: Way
) -> list[nn.Module]:
    """Train networks in a given order (members, steps, b) of the examples."""
    trainer = Trainer(task, model, modules)
    run = trainer.compiled(way, _given, jnp.asarray(order.cpu().numpy().astype(np.int32)))()
    found = jax.tree.map(np.asarray, run()[0])
    return [
        to_torch(jax.tree.map(lambda each, row=row: each[row], found), module)
        for row, module in enumerate(modules)
    ]


def from_torch(module: nn.Module) -> Any:
    """Return (weight, bias) layer by layer, inputs before outputs and channels last."""
    found = []
    for layer, shape in _shapes(module):
        weight = layer.weight.detach().cpu().numpy().reshape(shape).transpose(2, 3, 1, 0)
        if layer.weight.dim() == 2:
            weight = weight.reshape(-1, shape[0])
        found.append((jnp.asarray(weight), jnp.asarray(layer.bias.detach().cpu().numpy())))
    return tuple(found)


def to_torch(parameters: Any, module: nn.Module) -> nn.Module:
    """Return a copy of the module with these weights: ``from_torch`` the other way."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for (layer, shape), (weight, bias) in zip(_shapes(module), parameters, strict=True):
            out, channels, side, _ = shape
            weight = weight.reshape(side, side, channels, out).transpose(3, 2, 0, 1)
            layer.weight.copy_(torch.tensor(weight).reshape(layer.weight.shape))
            layer.bias.copy_(torch.tensor(bias))
    return module


def _shapes(module: nn.Module) -> list[tuple[Any, tuple[int, int, int, int]]]:
    """Return layers with their weights' (outputs, channels, side, side); a vector has side 1."""
    found, images = [], 0  # images: the channels of what a layer sees, where it sees images
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            out, inputs = layer.weight.shape[:2]
            channels = inputs if isinstance(layer, nn.Conv2d) or not images else images
            side = math.isqrt(layer.weight.numel() // (out * channels))
            found.append((layer, (out, channels, side, side)))
            images = out if isinstance(layer, nn.Conv2d) else 0
    return found


def _given(batches: jax.Array, examples: int) -> jax.Array:
    return batches


def _drawn(batch_size: int, steps: int) -> Orders:
    """Return what draws a member's batches from its key: each epoch a fresh permutation."""

    def orders(key: jax.Array, examples: int) -> jax.Array:
        full = examples // batch_size
        keys = jax.random.split(key, -(-steps // full))
        drawn = jax.vmap(lambda each: jax.random.permutation(each, examples))(keys)
        return drawn[:, : full * batch_size].reshape(-1, batch_size)[:steps]

    return orders


def _step(outputs: Any, x: jax.Array, y: jax.Array, state: Any, batch: jax.Array) -> Any:
    parameters, velocity = state
    gradient = jax.grad(_loss)(parameters, outputs, x[batch], y[batch])
    velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
    return (jax.tree.map(lambda p, v: p - RATE * v, parameters, velocity), velocity), None


def _loss(parameters: Any, outputs: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    scores = jax.nn.log_softmax(outputs(parameters, x))
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()


def _mlp(way: Way, parameters: Any, x: jax.Array) -> jax.Array:
    (first, first_bias), (last, last_bias) = parameters
    return jax.nn.relu(x @ first + first_bias) @ last + last_bias


def _cnn(way: Way, parameters: Any, x: jax.Array) -> jax.Array:
    *convolutions, (wide, wide_bias), (last, last_bias) = parameters
    assert way.convolve is not None
    for kernel, bias in convolutions:
        x = jax.nn.relu(way.convolve(x, kernel) + bias)
        b, height, width, channels = x.shape  # a max over an axis: XLA's own pooling is slower
        x = x.reshape(b, height // 2, 2, width // 2, 2, channels).max((2, 4))
    return jax.nn.relu(x.reshape(len(x), -1) @ wide + wide_bias) @ last + last_bias


def _convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    kinds = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=kinds)


def _patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    side, (height, width) = len(kernel), x.shape[1:3]
    around = (side // 2, side // 2)
    padded = jnp.pad(x, ((0, 0), around, around, (0, 0)))
    shifted = [
        padded[:, down : down + height, right : right + width]
        for down in range(side)
        for right in range(side)
    ]
    return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


WAYS = {
    "mlp": [
        Way("vmap"),
        Way("map", at_once=False),
        Way("vmap, eight steps a turn", unroll=8, on_cpu=False),
    ],
    "cnn": [
        Way("vmap, patches", _patches),
        Way("map, patches", _patches, at_once=False),
        Way("vmap, convolutions", _convolved, on_cpu=False),  # there, 15 times as slow
    ],
}
