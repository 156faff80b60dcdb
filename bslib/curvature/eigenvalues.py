"""The largest eigenvalues of the Hessian."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from bslib.curvature.hessian import Hessian
from bslib.refusal import Refusal


@dataclass(frozen=True, eq=False)
class TopEigenvalues:
    """The largest eigenvalues, with what tells how well they were found.

    Attributes:
        values: largest first, (k,).
        residuals: |H v - value v| for the unit vectors found, (k,): an eigenvalue of H lies
            within so much of the value.
        vectors: unit eigenvectors, (k, d).
        products: products with the Hessian that it took, those for the residuals included.
    """

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    vectors: NDArray[np.float64]
    products: int


def top_eigenvalues(
    hessian: Hessian,
    count: int = 1,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-5,
    most_products: int = 2_000,
) -> TopEigenvalues:
    """Find the ``count`` algebraically largest eigenvalues by Lanczos iteration (ARPACK).

    Args:
        hessian: of d parameters.
        count: less than d.
        generator: draws the start vector.
        tolerance: relative, on the eigenvalues; float32 products bear about 1e-6.
        most_products: give up after about so many.

    Cost: some tens of products where the largest eigenvalues stand apart, hundreds where they
    are crowded; 4 count + 40 vectors of float64 are held.

    Raises:
        Refusal: too many eigenvalues asked for, or no convergence.
    """
    size = hessian.size
    if not 1 <= count < size:
        raise Refusal(f"count must lie between 1 and {size - 1} for {size:,} parameters: {count}")
    before, kept = hessian.products, min(size, max(2 * count + 1, 20))
    start = torch.randn(size, generator=generator, dtype=torch.float64).numpy()
    try:
        values, vectors = eigsh(
            hessian.operator(),
            k=count,
            which="LA",
            v0=start,
            ncv=kept,
            tol=tolerance,
            maxiter=max(1, most_products // max(1, kept - count)),
        )
    except ArpackNoConvergence as error:
        found = f"{len(error.eigenvalues)} of {count} eigenvalues converged"
        way_out = "allow more products or a larger tolerance"
        raise Refusal(f"{found} within about {most_products:,} products; {way_out}") from error
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors.T[order]
    operator = hessian.operator()
    pairs = zip(values, vectors, strict=True)
    residuals = [np.linalg.norm(operator.matvec(each) - value * each) for value, each in pairs]
    return TopEigenvalues(values, np.array(residuals), vectors, hessian.products - before)
