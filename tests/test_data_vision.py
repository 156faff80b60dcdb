"""torchvision is imported beside any torch, and helped only where it has to be."""

import contextlib
import importlib
import socket
import subprocess
import sys

import pytest

from bslib.data import vision


def test_torchvision_imports_without_a_warning() -> None:
    """In a fresh interpreter where warnings are errors, the data sets import, twice."""
    code = "from bslib.data import vision; vision.datasets(); print(vision.datasets().__name__)"
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("torchvision.datasets", "")


@pytest.mark.parametrize("loads", [True, False])
def test_schemas_are_declared_only_where_operators_do_not_load(
    monkeypatch: pytest.MonkeyPatch, loads: bool
) -> None:
    """A torchvision whose compiled operators load is imported as it is."""
    declared = []
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(vision, "operators_load", lambda: loads)
    monkeypatch.setattr(vision, "declare_operators", lambda: declared.append(True))
    monkeypatch.setattr(importlib, "import_module", lambda name: name)
    assert vision.datasets() == "torchvision.datasets"
    assert declared == [True] * (not loads)


def test_operators_that_another_torch_needs_do_not_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A library that the loader rejects counts as not loading."""

    def reject(path: object) -> None:
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(vision.torch.ops, "load_library", reject)
    assert not vision.operators_load()


def test_patience_is_given_back() -> None:
    """The time-out of sockets holds during a download only, also when it fails."""
    before = socket.getdefaulttimeout()
    with contextlib.suppress(OSError), vision._patience():
        during = socket.getdefaulttimeout()
        raise OSError("gone")
    assert during == vision.PATIENCE_S
    assert socket.getdefaulttimeout() == before
