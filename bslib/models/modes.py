"""What layers do only while a module trains, and what breaks per-example and repeated measures."""

from torch import nn


def normalises_over_batch(module: nn.Module) -> bool:
    """Say whether batch normalisation lets examples meet in the forward pass, as it stands.

    In evaluation mode it does not, where running statistics are kept.
    """
    norms = nn.modules.batchnorm._BatchNorm
    layers = [each for each in module.modules() if isinstance(each, norms)]
    return any(each.training or each.running_mean is None for each in layers)


def drops_out(module: nn.Module) -> bool:
    """Say whether a layer drops units at random, as the module stands."""
    kinds = nn.modules.dropout._DropoutNd
    layers = [each for each in module.modules() if isinstance(each, kinds)]
    return any(each.training and each.p > 0 for each in layers)
