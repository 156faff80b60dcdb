"""Which models there are: data only, so that a model's module is imported when it is built."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelEntry:
    """A model's module and what it is, in a line."""

    module: str
    summary: str


MODELS: dict[str, ModelEntry] = {
    "linear": ModelEntry("bslib.models.linear", "one linear layer"),
    "mlp": ModelEntry(
        "bslib.models.mlp", "fully connected ReLU layers; options width, depth, norm"
    ),
    "cnn": ModelEntry(
        "bslib.models.cnn", "two 5x5 convolutions and a hidden layer; options channels, width, norm"
    ),
    "transformer": ModelEntry(
        "bslib.models.transformer", "a decoder for sequences; options width, depth, heads"
    ),
    "quadratic": ModelEntry("bslib.models.quadratic", "a parameter vector, for noisy-quadratic"),
}
