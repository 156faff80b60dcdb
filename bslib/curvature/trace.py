"""The trace of the Hessian, from random vectors."""

import torch

from bslib import stats
from bslib.curvature.hessian import Hessian
from bslib.refusal import Refusal
from bslib.stats import Estimate
from bslib.training import Progress


def hessian_trace(
    hessian: Hessian,
    *,
    probes: int,
    generator: torch.Generator,
    deflated: int = 0,
    level: float = 0.95,
    progress: Progress = lambda done, total: None,
) -> Estimate:
    """Estimate tr H by Hutchinson's method, or by Hutch++ where directions are deflated.

    For signs z, E[z'Hz] = tr H with variance 2 sum_{i != j} H_ij^2 (Hutchinson 1990). Hutch++
    (Meyer et al. 2021, algorithm 1) takes the trace within the range of H times ``deflated``
    random vectors exactly, and samples what is left outside: far less where few eigenvalues
    are large, as near the end of a training. Both are unbiased.

    Returns:
        The mean over probes with Student's t interval; n is the number of probes.

    Cost: probes + 2 deflated products; deflated vectors are held.

    Raises:
        Refusal: fewer than two probes, or no direction left outside the deflated ones.
    """
    if probes < 2 or not 0 <= deflated < hessian.size:
        room = f"2 probes or more, and fewer than {hessian.size:,} deflated"
        raise Refusal(f"a trace takes {room}; not {probes} and {deflated}")
    total = probes + 2 * deflated
    sketches = []
    for _ in range(deflated):
        sketches.append(hessian(hessian.random_vector(generator)))
        progress(len(sketches), total)
    like = hessian.random_vector(generator)
    basis = torch.linalg.qr(torch.stack(sketches, dim=1))[0] if sketches else like.new_zeros(0, 0)
    inside = 0.0
    for number, direction in enumerate(basis.T):
        inside += torch.dot(direction, hessian(direction)).item()
        progress(deflated + number + 1, total)
    found = []
    for probe in range(probes):
        vector = hessian.random_vector(generator)
        if deflated:
            vector = vector - basis @ (basis.T @ vector)
        found.append(inside + torch.dot(vector, hessian(vector)).item())
        progress(2 * deflated + probe + 1, total)
    return stats.mean(found, level)
