"""Out-of-memory errors in all their forms, and what only looks like one."""

import errno

import pytest
import torch

from bslib.memory import is_out_of_memory

MESSAGES = [
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried "
    "to allocate 4398046511104 bytes.",
    "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 4398046511104 bytes. Error code 12 (Cannot allocate memory)",
    "could not create a primitive",
    "std::bad_alloc",
    "MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB)",
    "HIP out of memory. Tried to allocate 20.00 MiB",
    "unable to mmap 512 bytes from file </torch_1>: Cannot allocate memory (12)",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_of_libraries_are_known(message: str) -> None:
    """A bare RuntimeError, and the accelerator's own, are told by what they say."""
    assert is_out_of_memory(RuntimeError(message))
    assert is_out_of_memory(torch.AcceleratorError(message))


def test_types_are_known() -> None:
    """Torch's exception, Python's, and the operating system's code."""
    assert is_out_of_memory(torch.OutOfMemoryError("no matter what it says"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))


def test_a_real_one_is_known() -> None:
    """Asking the CPU's allocator for an exabyte fails in one of the forms."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_a_cause_is_followed() -> None:
    """An error raised from an out-of-memory error is one; one merely raised beside it is not."""
    outer = RuntimeError("training failed")
    outer.__context__ = MemoryError()
    assert not is_out_of_memory(outer)
    outer.__cause__ = MemoryError()
    assert is_out_of_memory(outer)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x64 and 32x10)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory"),
        OSError(errno.ENOENT, "No such file or directory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_not_taken_for_it(error: BaseException) -> None:
    """A wrong shape, a failed assertion, a value error that borrows the words, a missing file."""
    assert not is_out_of_memory(error)
