"""Code for a GPU, run where there is none: on tensors that only say that they lie on one.

torch's fake tensors know their device, and an operation over two devices raises as CUDA's would.
What they do not know is pretended: a value that the host reads is 1, and so is a gradient's shape
all that a backward pass gives. Nothing is computed: this finds tensors, indices and generators
that lie elsewhere than what they meet, and reads by the host in a step that a graph records.
"""

import contextlib
import ctypes
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch.overrides import TorchFunctionMode
from training_case import CLASSES, convolutional, mlp, small_task

from bslib import curvature, memory, models, noise, training
from bslib.data import Task
from bslib.noise import injected
from bslib.noise.gradient_variance import gradient_variance
from bslib.throughput import training_step_times
from bslib.training import engine, shuffling

if torch.cuda.is_available():
    pytest.skip("tests/test_cuda.py asks the device itself", allow_module_level=True)

CUDA, META, HERE = 1, 14, torch.device("cuda", 0)
FAKE = fake_tensor.FakeTensor
READS = {"item": None, "tolist": None, "__float__": float, "__int__": int, "__bool__": bool}


def guards() -> Any:
    """The implementations by device type that torch looks up to switch devices and streams."""
    library = Path(torch.__file__).parent / "lib" / "libc10.so"
    name = "_ZN3c104impl26device_guard_impl_registryE"
    try:
        return (ctypes.c_void_p * 21).in_dll(ctypes.CDLL(str(library)), name)
    except (OSError, ValueError):
        pytest.skip("this build of torch does not tell where its device guards are")


class Generators(type):
    """Stands in for ``torch.Generator``: a CPU generator that is remembered as a device's."""

    places: dict[int, tuple[str, Any]] = {}  # noqa: RUF012
    real = torch.Generator

    def __call__(cls, device: Any = "cpu") -> Any:
        made = Generators.real()
        Generators.places[id(made)] = torch.device(device).type, made
        return made

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Generators.real)


class Generator(metaclass=Generators):
    """What ``torch.Generator`` is meanwhile."""


class Host(TorchFunctionMode):
    """What the host asks of tensors, answered for fake ones; refused while a step is recorded."""

    recording = False

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args = tuple(_placed(each) for each in args)
        kwargs = {key: _placed(each) for key, each in (kwargs or {}).items()}
        name = getattr(function, "__name__", "")
        first = args[0] if args and isinstance(args[0], FAKE) else None
        if (generator := kwargs.pop("generator", None)) is not None:
            place = first.device if first is not None else kwargs.get("device") or "cpu"
            its = Generators.places.get(id(generator), ("cpu", None))[0]
            if its != torch.device(place).type:
                raise RuntimeError(f"{name} on {place} with a generator of {its}")
        if function is torch.autograd.grad:
            wanted = args[1] if isinstance(args[1], tuple | list) else (args[1],)
            return tuple(each * 1 for each in wanted)
        if function is Tensor.backward:
            return _backward(args[0])
        place = kwargs.pop("device", None) if name == "tensor" else None
        if name == "new_tensor" or place is not None:
            place, like = place or args[0].device, {} if first is None else {"dtype": first.dtype}
            return torch.tensor(args[-1], **(like | kwargs)).to(place)
        if first is None:
            return function(*args, **kwargs)
        return self._of_fake(function, name, args, kwargs)

    def _of_fake(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        first = args[0]
        if name in (*READS, "pin_memory") or _crosses(name, args, kwargs):
            if self.recording:
                raise RuntimeError(f"{name}: not in a step that a graph records")
            if name == "pin_memory":
                return first.clone()
        if name == "numpy":
            if first.device.type == "cuda":
                raise TypeError("a CUDA tensor is no array")
            return np.array(_ones(first))
        if name in READS:
            values = _ones(first)
            return values if name == "tolist" else _one(values, name)
        if name == "__deepcopy__":
            return args[1].setdefault(id(first), _copy(first))
        if name in ("__getitem__", "__setitem__"):
            args = (first, _indices(args[1]), *args[2:])
        return function(*args, **kwargs)


def _placed(value: Any) -> Any:
    cuda = isinstance(value, str | torch.device) and str(value) == "cuda"
    return HERE if cuda else value


def _ones(tensor: Tensor) -> Any:
    one: Any = True if tensor.dtype == torch.bool else 1.0 if tensor.is_floating_point() else 1
    for count in reversed(tensor.shape):
        one = [one] * count
    return one


def _one(values: Any, name: str) -> Any:
    while isinstance(values, list):
        (values,) = values
    convert = READS[name]
    return values if convert is None else convert(values)


def _crosses(name: str, args: Any, kwargs: Any) -> bool:
    """Say whether a tensor is copied between devices."""
    others = [each.device for each in args[1:] if isinstance(each, Tensor)]
    others += [each for each in (*args[1:], *kwargs.values()) if isinstance(each, torch.device)]
    moves = name in ("to", "copy_")
    return name in ("cpu", "cuda") or (moves and any(each != args[0].device for each in others))


def _indices(index: Any) -> Any:
    several = index if isinstance(index, tuple) else (index,)
    made = (torch.tensor(list(i)) if isinstance(i, list | range) else i for i in several)
    return tuple(made)


def _copy(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(copied, tensor.requires_grad)
    return copied


def _backward(loss: Tensor) -> None:
    seen, left = set(), [loss.grad_fn]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [each for each, _ in node.next_functions]
            if (leaf := getattr(node, "variable", None)) is not None:
                leaf.grad = torch.zeros_like(leaf)


def _apply(module: nn.Module, function: Any, recurse: bool = True) -> nn.Module:
    """Move a module's tensors as ``nn.Module._apply`` does; fake ones cannot be swapped."""
    for each in module.modules():
        for name, parameter in each._parameters.items():
            if parameter is not None:
                moved = function(parameter.detach())
                each._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
        for name, buffer in each._buffers.items():
            each._buffers[name] = None if buffer is None else function(buffer)
    return module


@contextlib.contextmanager
def pretended_cuda() -> Iterator[Host]:
    """Inside, all tensors are fake, and there is a device "cuda"."""
    host, registry = Host(), guards()

    def record(step: Any, changed: Any) -> Any:
        before = [each.clone() for each in changed]
        step()
        host.recording = True
        try:
            step()
        finally:
            host.recording = False
        for each, value in zip(changed, before, strict=True):
            each.copy_(value)
        return lambda: None

    state = torch.zeros(16, dtype=torch.uint8)
    of_cuda: dict[str, Any] = {
        "synchronize": None, "manual_seed": None, "set_rng_state": None, "get_rng_state": state,
        "mem_get_info": (2**36, 2**36), "memory_allocated": 0, "max_memory_allocated": 1,
        "max_memory_reserved": 1, "memory_stats": {}, "reset_peak_memory_stats": None,
        "empty_cache": None, "device": contextlib.nullcontext(),
    }  # fmt: skip
    patches = [
        *(mock.patch.object(torch.cuda, k, lambda *a, v=v: v) for k, v in of_cuda.items()),
        mock.patch.object(torch, "Generator", Generator),
        mock.patch.object(nn.Module, "_apply", _apply),
        mock.patch.object(fake_tensor, "CONSTANT_NUMEL_LIMIT", 0),
        mock.patch.object(engine, "cuda_graph", record),
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # a fake tensor's address
        for each in patches:
            stack.enter_context(each)
        registry[CUDA] = registry[META]  # whose guard does nothing
        stack.callback(registry.__setitem__, CUDA, None)
        stack.enter_context(fake_tensor.FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(host)
        yield host


def placed(*, image: bool = False) -> Task:
    return small_task(image=image).to("cuda", torch.float32)


def plain(seed: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))


def normed(seed: int) -> nn.Module:
    hidden = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(5, CLASSES))


def trained(task: Task, build: Any, **settings: Any) -> training.Training:
    return training.train(
        task,
        initial=[build(1), build(2)],
        learning_rates=[0.1, 0.2],
        seeds=[1, 2],
        budget=training.Budget(steps=15),
        evaluate_every=9,
        record_batch_loss=True,
        **settings,
    )


def test_the_pretence_is_as_strict_as_a_device() -> None:
    """Operands, indices and generators of another device raise, and so do reads in a recording."""
    with pretended_cuda() as host:
        there, here = torch.zeros(3, device="cuda"), torch.zeros(3)
        with pytest.raises(RuntimeError, match=r"same device|different devices"):
            there + here
        with pytest.raises(RuntimeError, match=r"same device|different devices"):
            there.index_select(0, torch.zeros(2, dtype=torch.int64))
        with pytest.raises(RuntimeError, match="generator of cpu"):
            torch.randperm(3, generator=torch.Generator(), device="cuda")
        with pytest.raises(TypeError, match="no array"):
            there.numpy()
        host.recording = True
        with pytest.raises(RuntimeError, match="item: not in a step"):
            there[0].item()
        with pytest.raises(RuntimeError, match="to: not in a step"):
            here.to("cuda")


@pytest.mark.parametrize(
    ("strategy", "build", "optimizer", "batch_size"),
    [
        ("stacked", mlp, "adamw", 8),
        ("stacked", mlp, "sgd", 50),
        ("stacked", normed, "momentum", 8),
        ("vmap", plain, "momentum", 8),
        ("loop", convolutional, "adam", 8),
    ],
)
def test_a_training_stays_on_its_device(
    strategy: str, build: Any, optimizer: str, batch_size: int
) -> None:
    """Whole, ragged and recorded steps, orders, tables, evaluations and the networks returned."""
    with pretended_cuda():
        task = placed(image=strategy != "stacked")
        done = trained(task, build, strategy=strategy, optimizer=optimizer, batch_size=batch_size)
        assert {each.device for each in done.module(0).parameters()} == {HERE}


@pytest.mark.parametrize(("strategy", "build"), [("stacked", mlp), ("vmap", plain)])
def test_an_order_on_the_cpu_would_be_found(
    strategy: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same training is an error where batches are drawn on the CPU."""
    drawn = shuffling.Shuffle.next

    def elsewhere(shuffle: shuffling.Shuffle, most: int) -> list[Tensor | None]:
        return [each if each is None else each.cpu() for each in drawn(shuffle, most)]

    monkeypatch.setattr(shuffling.Shuffle, "next", elsewhere)
    with pretended_cuda(), pytest.raises(RuntimeError, match="device"):
        trained(placed(image=build is not mlp), build, batch_size=8, strategy=strategy)


def test_noise_and_curvature_are_measured_where_the_data_lie() -> None:
    """With CPU generators, as the pages give them: sampled, injected, exact, and the Hessian's."""
    with pretended_cuda():
        task, generator = placed(), torch.Generator()
        module = models.build("mlp", task, seed=0, width=8).to("cuda")
        given = module, task.train, task.loss
        noise.measure_noise_scale(*given, generator=generator, micro_batch_size=4)
        noise.exact_noise_scale(*given)
        gradient_variance(task, batch_sizes=[2], draws=3, steps=2, seeds=[0])
        for kind in (injected.EXAMPLES, injected.ISOTROPIC):
            settings: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1, "steps": 2}
            injected.full_batch(task, noise=kind, seeds=[0, 1], **settings)
        hessian = curvature.Hessian(*given, chunk=16)
        curvature.hessian_trace(hessian, probes=2, generator=generator, deflated=1)
        curvature.batch_sharpness(*given, batch_size=4, batches=2, generator=generator)


def test_steps_are_timed_and_weighed_on_the_device() -> None:
    """A step of the throughput's kind, and one of memory's with each optimiser."""
    with pretended_cuda():
        task = placed()
        training_step_times(task, [8], rounds=1, saturated=False)
        for optimizer in ("sgd", "momentum", "adam"):
            step = memory.training_step(task, mlp(0).float(), optimizer=optimizer, evaluate=True)
            assert memory.peak_bytes(step, 8) == 1
