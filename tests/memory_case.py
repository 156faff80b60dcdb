"""Networks and steps for the tests of memory, small enough to run by the dozen."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bslib import memory
from bslib.data import vision


def loss(module: nn.Module, batch: Any) -> Tensor:
    inputs, targets = batch
    return functional.cross_entropy(module(inputs), targets)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.encoder(inputs)[:, 0])
        return outputs


def mlp(width: int = 256) -> nn.Module:
    layers = [nn.Linear(64, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 256)]
    return nn.Sequential(*layers, nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 10))


def chain(depth: int = 16) -> nn.Sequential:
    layers = [part for _ in range(depth) for part in (nn.Linear(64, 64), nn.Tanh())]
    return nn.Sequential(*layers)


def cnn() -> nn.Module:
    first = [nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(128, 10))


def resnet() -> nn.Module:
    vision.datasets()  # makes the import below work beside a CPU-only torch
    from torchvision.models import resnet18

    module: nn.Module = resnet18(num_classes=10)
    return module


SHAPES = {"mlp": (64,), "cnn": (1, 8, 8), "resnet": (3, 32, 32), "transformer": (16, 32)}
BUILDERS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "transformer": Encoder}


def step(name: str, optimizer: str = "sgd", **settings: Any) -> memory.TrainingStep:
    module = BUILDERS[name]()
    return of(module, SHAPES[name], optimizer, **settings)


def of(
    module: nn.Module, shape: tuple[int, ...] = (64,), optimizer: str = "sgd", **settings: Any
) -> memory.TrainingStep:
    generator = torch.Generator().manual_seed(1)
    examples = (torch.randn(8, *shape, generator=generator), torch.arange(8) % 10)
    return memory.TrainingStep(
        module, settings.pop("loss", loss), examples, memory.Named(optimizer), **settings
    )
