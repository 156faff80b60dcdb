"""Curvature of the loss: products with the Hessian, and what is read from them."""

from bslib.curvature.batch_sharpness import batch_sharpness
from bslib.curvature.eigenvalues import TopEigenvalues, top_eigenvalues
from bslib.curvature.hessian import Hessian
from bslib.curvature.trace import hessian_trace

__all__ = ["Hessian", "TopEigenvalues", "batch_sharpness", "hessian_trace", "top_eigenvalues"]
