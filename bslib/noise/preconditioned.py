"""The metric in which an adaptive optimiser sees gradients."""

import torch
from torch import Tensor, nn

from bslib.refusal import Refusal


def adam_metric(module: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    """Return 1 / (sqrt(v) + eps), (d,), from the state of ``torch.optim.Adam`` or ``AdamW``.

    v is the bias-corrected second moment (its running maximum under ``amsgrad``). In this
    metric |G|^2 is, to first order, what a small step along the preconditioned gradient gains
    for each unit of learning rate, and tr S what noise adds to its squared length. It takes
    the second moments as they stand: they hold the noise of the batch size that was trained
    with.

    The order is that of the module's trained parameters. A parameter of which the optimiser
    has seen no gradient has none, and is refused.

    Raises:
        Refusal: the optimiser keeps no second moments, has made no step, or does not hold one
            of the module's parameters.
    """
    settings = {each: group for group in optimizer.param_groups for each in group["params"]}
    parts = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        state = optimizer.state.get(parameter, {})
        if parameter not in settings or "exp_avg_sq" not in state:
            kind = type(optimizer).__name__
            way_out = "make a step of Adam or AdamW first"
            raise Refusal(f"{kind} holds no second moment of {name!r}; {way_out}")
        group = settings[parameter]
        moment = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
        correction = 1 - group["betas"][1] ** float(state["step"])
        parts.append(1 / ((moment / correction).sqrt() + group["eps"]).flatten())
    return torch.cat(parts)
