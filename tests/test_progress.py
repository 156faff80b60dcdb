"""The progress bar says how far a measurement is, and leaves nothing behind."""

from typing import Any

import pytest

from bslib import progress


def test_a_terminal_bar_moves_and_is_wiped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal: one line of standard error, empty at the end; nothing on standard output."""
    monkeypatch.setattr(progress, "get_ipython", lambda: None)
    update = progress.bar("trainings", every_s=0)
    update(1, 2)
    update(2, 2)
    captured = capsys.readouterr()
    assert "trainings" in captured.err
    assert "1/2" in captured.err
    assert captured.err.split("\r")[-2].strip() == ""
    assert captured.out == ""


def test_a_notebook_bar_is_one_marked_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook: one output, updated in place, marked so that records can drop it."""
    shown: list[tuple[str, dict[str, Any]]] = []

    class Handle:
        def update(self, bundle: dict[str, str], **options: Any) -> None:
            shown.append((bundle["text/plain"], options["metadata"]))

    def display(bundle: dict[str, str], **options: Any) -> Handle:
        shown.append((bundle["text/plain"], options["metadata"]))
        return Handle()

    monkeypatch.setattr(progress, "get_ipython", lambda: object())
    monkeypatch.setattr(progress, "display", display)
    update = progress.bar("trainings", every_s=0)
    update(1, 2)
    update(2, 2)
    assert shown == [("trainings: 1 of 2", progress.MARK), ("", progress.MARK)]


def test_frequent_calls_draw_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls within the interval are swallowed, but for the last one."""
    monkeypatch.setattr(progress, "get_ipython", lambda: None)
    update = progress.bar("steps", every_s=3_600)
    for done in range(1, 101):
        update(done, 100)
    assert capsys.readouterr().err.count("steps [") == 1
