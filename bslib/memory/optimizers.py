"""torch's own optimisers by name, in the implementation that a device would choose."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bslib.refusal import Refusal

_KINDS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}


@dataclass(frozen=True)
class Named:
    """Makes an optimiser of parameters. Its learning rate is 0: memory is all that is asked.

    Attributes:
        name: "sgd", "momentum", "adam" or "adamw".
        settings: of the optimiser, such as ``foreach`` or ``fused``. Without either,
            ``foreach`` on CUDA and a loop elsewhere, which are torch's defaults; they are
            passed on, since torch would not recognise a fake tensor's device.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            known = ", ".join(_KINDS)
            raise Refusal(f"optimizer {self.name!r} is unknown; use one of {known}")

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser of these parameters."""
        kind, own = _KINDS[self.name]
        chosen = {**own, **self.settings}
        if not chosen.get("foreach") and not chosen.get("fused"):
            chosen.setdefault("foreach", parameters[0].device.type == "cuda")
        make: Any = kind
        optimizer: torch.optim.Optimizer = make(parameters, lr=0.0, **chosen)
        return optimizer
