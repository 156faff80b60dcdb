"""The arm on JAX: all members in one ``jit(vmap(scan))``.

Of the convolutional net it shows what XLA makes of a convolution in a scan on a CPU (here a
sixth of the speed of the same step jitted alone), not what JAX can do with one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arms import CLASSES, MOMENTUM, RATE, WORK, Arm, Spent, Stopwatch

from bslib.data import Task


def scan(task: Task, model: str) -> Arm:
    """Members under ``vmap``, steps under ``scan``; the order of the examples is given to it."""
    members = WORK[model][1]
    inputs = jnp.asarray(task.train.inputs.numpy().reshape(-1, *SHAPES[model]))
    targets = jnp.asarray(task.train.targets.numpy().astype(np.int32))
    compiled: dict[tuple[int, int], Any] = {}
    initial = PARAMETERS[model](np.random.default_rng(0), members)
    order = np.random.default_rng(1)

    def one(parameters: Any, batches: jax.Array, x: jax.Array, y: jax.Array) -> Any:
        def step(state: Any, batch: jax.Array) -> Any:
            parameters, velocity = state
            gradient = jax.grad(_loss)(parameters, OUTPUTS[model], x[batch], y[batch])
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
            return (jax.tree.map(lambda p, v: p - RATE * v, parameters, velocity), velocity), None

        state = parameters, jax.tree.map(jnp.zeros_like, parameters)
        return jax.lax.scan(step, state, batches)[0][0]

    every = jax.jit(jax.vmap(one, in_axes=(0, 0, None, None)))

    def run(batch_size: int, steps: int) -> Spent:
        shape = (members, steps, batch_size)
        batches = jnp.asarray(order.integers(0, len(targets), shape, dtype=np.int32))
        arguments = (initial, batches, inputs, targets)
        key = batch_size, steps
        if key not in compiled:
            compiled[key] = every.lower(*arguments).compile()
        watch = Stopwatch()
        watch()
        jax.block_until_ready(compiled[key](*arguments))
        watch()
        return watch.spent(members * batch_size * steps)

    return run


def _loss(parameters: Any, outputs: Callable[..., jax.Array], x: jax.Array, y: jax.Array) -> Any:
    scores = jax.nn.log_softmax(outputs(parameters, x))
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()


def _mlp(parameters: Any, x: jax.Array) -> jax.Array:
    (first, first_bias), (last, last_bias) = parameters
    return jax.nn.relu(x @ first + first_bias) @ last + last_bias


def _cnn(parameters: Any, x: jax.Array) -> jax.Array:
    *convolutions, (wide, wide_bias), (last, last_bias) = parameters
    for kernel, bias in convolutions:
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.lax.reduce_window(
            jax.nn.relu(x + bias), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )
    return jax.nn.relu(x.reshape(len(x), -1) @ wide + wide_bias) @ last + last_bias


def _drawn(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator, int], Any]:
    def draw(generator: np.random.Generator, members: int) -> Any:
        def layer(shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
            scale = (2 / np.prod(shape[:-1])) ** 0.5
            weight = generator.normal(0, scale, (members, *shape)).astype(np.float32)
            return jnp.asarray(weight), jnp.zeros((members, shape[-1]))

        return tuple(layer(shape) for shape in shapes)

    return draw


SHAPES = {"mlp": (784,), "cnn": (28, 28, 1)}
OUTPUTS = {"mlp": _mlp, "cnn": _cnn}
PARAMETERS = {
    "mlp": _drawn((784, 128), (128, CLASSES)),
    "cnn": _drawn((5, 5, 1, 16), (5, 5, 16, 32), (1568, 128), (128, CLASSES)),
}
