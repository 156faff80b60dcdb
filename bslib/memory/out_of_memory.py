"""Is an error an out-of-memory error? Decided here and nowhere else.

It has many faces: an exception of torch's own; an error of the accelerator, or of one of its
libraries, that only says so; on the CPU a bare RuntimeError of the allocator, of oneDNN or of
C++; Python's MemoryError; the operating system's ENOMEM.
"""

import errno

import torch

# Lower case, as they stand in the messages of the libraries named.
_WORDS = (
    "out of memory",  # CUDA, HIP, MPS, XPU
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "cusolver_status_alloc_failed",
    "cusparse_status_alloc_failed",
    "cufft_alloc_failed",
    "cuda_error_out_of_memory",
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
    "could not create a primitive",  # oneDNN
    "could not create a memory object",
    "std::bad_alloc",
    "cannot allocate memory",  # mmap of a tensor in shared memory
)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether ``error``, or what it was raised from, is for want of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and _says_so(str(error)):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def _says_so(message: str) -> bool:
    lowered = message.lower()
    return any(words in lowered for words in _WORDS)
