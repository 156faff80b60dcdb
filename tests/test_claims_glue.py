"""Glued values are what MyST-NB reads, and a scope says what was measured on."""

from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from bslib import claims
from bslib.claims import glue as glue_module
from bslib.claims.glue import PREFIX, glue
from bslib.claims.setting import PROFILE_VARIABLE


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def display(data: dict[str, Any], *, raw: bool, metadata: dict[str, Any]) -> None:
        assert raw
        calls.append((data, metadata))

    monkeypatch.setattr(glue_module, "display", display)
    return calls


def test_glue_hides_a_number_under_its_name(shown: list) -> None:
    """The plain text can be read back as the number; nothing is shown on the page."""
    glue("slope", -1.0025)
    ((data, metadata),) = shown
    assert metadata["scrapbook"] == {"name": "slope", "mime_prefix": PREFIX}
    assert list(data) == [f"{PREFIX}text/plain"]
    assert float(data[f"{PREFIX}text/plain"]) == -1.0025


def test_glue_is_what_myst_nb_extracts(shown: list) -> None:
    """The reader of the real package finds the value, formats it, and hides the output."""
    core = pytest.importorskip("myst_nb.ext.glue", reason="MyST-NB is not installed")
    variables = pytest.importorskip("myst_nb.core.variables")
    glue("slope", -1.0025)
    ((data, metadata),) = shown
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    cell = nbformat.v4.new_code_cell(outputs=[output])
    ((name, found),) = core.extract_glue_data_cell(cell)
    assert name == "slope"
    assert variables.format_plain_text(found["data"]["text/plain"], ".2f") == "-1.00"
    assert cell.outputs == []


TASK = SimpleNamespace(name="digits", model="mlp", train=range(1200), checksum="ab12")


def test_scope_names_task_model_device_profile_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner's profile is taken from its variable; seeds are counted."""
    monkeypatch.setenv(PROFILE_VARIABLE, "full")
    found = claims.scope(TASK, device="cpu", seeds=range(8), width=64)  # type: ignore[arg-type]
    assert found["device"].startswith("CPU")
    del found["device"]
    assert found == {
        "task": "digits",
        "model": "mlp",
        "examples": 1200,
        "profile": "full",
        "seeds": 8,
        "checksum": "ab12",
        "width": 64,
    }


def test_scope_without_the_runner_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that a reader runs in Jupyter claims no profile."""
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
    assert claims.scope(TASK, device="cpu", seeds=3)["profile"] == "by hand"  # type: ignore[arg-type]
