"""What a run would execute, and what is refused before any kernel starts."""

from pathlib import Path

import pytest
from small_checkout import LEDGER_PARAMETERS, make_checkout, notebook_text

from bslib import data
from bslib.book import checkout, plan
from bslib.book.checkout import Checkout
from bslib.refusal import Refusal

VARIANCE = (
    'task: str = "digits"  # data\nbatch_sizes: list = [8, 64]  # sizes\nseeds: int = 3  # n\n'
)
CURVES = 'learning_rate: float = 0.1  # step\nseeds: int = 3  # n\ndevice: str = "cpu"  # where\n'


@pytest.fixture
def book(tmp_path: Path) -> Checkout:
    root = make_checkout(
        tmp_path / "book",
        {
            "chapters/2-choosing/curves.ipynb": notebook_text([], CURVES, claim="2.1"),
            "chapters/3-increasing/variance.ipynb": notebook_text([], VARIANCE, claim="3.3"),
            "chapters/ledger.ipynb": notebook_text([], LEDGER_PARAMETERS),
        },
    )
    (root / "profiles" / "full").mkdir(parents=True)
    full = root / "profiles" / "full"
    (full / "variance.yaml").write_text("# gpu_seconds: 60\nseeds: 8\nbatch_sizes: [8, 512]\n")
    (full / "curves.yaml").write_text("# gpu_seconds: 30\nlearning_rate: 1e-3\n")
    return Checkout(root)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], ["curves", "variance", "ledger"]),
        (["3.3"], ["variance"]),
        (["3"], ["variance"]),
        (["3-increasing"], ["variance"]),
        (["ledger", "2.1"], ["curves", "ledger"]),
        (["variance", "3.3"], ["variance"]),
        (["chapters/3-increasing/variance.ipynb"], ["variance"]),
    ],
)
def test_names_of_notebooks(book: Checkout, names: list[str], chosen: list[str]) -> None:
    """Claims, sections and notebooks' names select; all for none; in the book's order."""
    assert [page.name for page in book.select(names)] == chosen


@pytest.mark.parametrize("name", ["9.9", "imagenet", "3.", ""])
def test_an_unknown_name_is_refused(book: Checkout, name: str) -> None:
    """The message names what there is."""
    with pytest.raises(Refusal, match=r"2\.1 curves, 3\.3 variance, ledger"):
        book.select([name])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([("batch_sizes", "[]")], "empty"),
        ([("batch_sizes", "[0]")], "between 1"),
        ([("batch_sizes", "[-1]")], "between 1"),
        ([("batch_sizes", "[2.5]")], "whole number"),
        ([("batch_sizes", "many")], "list"),
        ([("batch_sizes", "8")], "list"),
        ([("batch_sizes", "[8, 1201]")], "1,200"),
        ([("batch_sizes", "[8")], "not YAML"),
        ([("seeds", "0")], "seeds"),
        ([("seeds", "three")], "whole number"),
        ([("task", "imagenet")], "unknown task 'imagenet'"),
        ([("sedes", "4")], r"no parameter 'sedes' \(did you mean 'seeds'\?\); it has task"),
    ],
)
def test_bad_values_are_refused(
    book: Checkout, overrides: list[tuple[str, str]], says: str
) -> None:
    """Each wrong name or value is refused in a message that says which notebook and what."""
    with pytest.raises(Refusal, match=says):
        plan.make(book, ["3.3"], overrides=overrides)


def test_a_device_that_is_not_there_is_refused(book: Checkout) -> None:
    """The message names the device."""
    with pytest.raises(Refusal, match="cuda:99"):
        plan.make(book, ["2.1"], overrides=[("device", "cuda:99")])


def test_a_name_that_one_of_the_notebooks_lacks_is_refused(book: Checkout) -> None:
    """The message names the notebook that lacks it."""
    with pytest.raises(Refusal, match=r"2\.1 curves has no parameter 'task'"):
        plan.make(book, ["2.1", "3.3"], overrides=[("task", "digits")])


def test_all_that_is_wrong_is_told_at_once(book: Checkout) -> None:
    """Two notebooks, two problems: the reader hears of both."""
    with pytest.raises(Refusal) as refusal:
        plan.make(book, ["2.1", "3.3"], overrides=[("seeds", "0")])
    assert len(str(refusal.value).splitlines()) == 2


def test_overrides_reach_the_ledger_only_by_name(book: Checkout) -> None:
    """``-p seeds 5`` for all notebooks is not refused for the ledger, which has no seeds."""
    made = plan.make(book, overrides=[("seeds", "5")])
    assert [item.parameters.get("seeds") for item in made.items] == [5, 5, None]
    with pytest.raises(Refusal, match="ledger has no parameter 'seeds'"):
        plan.make(book, ["ledger"], overrides=[("seeds", "5")])


def test_data_that_are_not_here_are_refused(
    book: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ways to get them are named before a kernel starts."""
    away = data.Availability("digits", False, "", "install scikit-learn")
    monkeypatch.setattr(data, "availability", lambda name: away)
    with pytest.raises(Refusal, match="'digits' are not here: install scikit-learn"):
        plan.make(book, ["3.3"])


def test_values_are_yaml_of_the_declared_type(book: Checkout) -> None:
    """A float takes what YAML reads as a word or a whole number; a word is taken as it is."""
    made = plan.make(book, ["2.1"], overrides=[("learning_rate", "1e-2")])
    assert made.items[0].parameters["learning_rate"] == 0.01
    assert made.items[0].injected == {"learning_rate": 0.01}


def test_the_full_profile(book: Checkout) -> None:
    """Its files change values, -p wins over them, and its time is added up."""
    made = plan.make(book, profile="full", overrides=[("seeds", "4")])
    curves, variance, ledger = made.items
    assert variance.parameters == {"task": "digits", "batch_sizes": [8, 512], "seeds": 4}
    assert curves.parameters["learning_rate"] == 0.001
    assert ledger.parameters == {"quick_dir": "", "full_dir": "."}
    assert made.gpu_seconds == 90


@pytest.mark.parametrize(
    ("curves", "variance", "order"),
    [
        (20, 3, ["variance", "curves", "ledger"]),
        (3, 20, ["curves", "variance", "ledger"]),
        (None, 20, ["variance", "curves", "ledger"]),
    ],
)
def test_the_full_profile_starts_with_what_matters_most(
    book: Checkout, curves: int | None, variance: int, order: list[str]
) -> None:
    """By the priorities in its files, those without one after them; the quick one by the book."""
    for name, priority in {"curves": curves, "variance": variance}.items():
        line = f"# priority: {priority}\n" if priority else ""
        (book.root / "profiles" / "full" / f"{name}.yaml").write_text(f"{line}seeds: 8\n")
    full, quick = plan.make(book, profile="full"), plan.make(book)
    assert [item.page.name for item in full.items] == order
    assert [item.page.name for item in quick.items] == ["curves", "variance", "ledger"]


def test_a_claim_without_a_full_profile_is_refused(book: Checkout) -> None:
    """The message names the file that is missing."""
    (book.root / "profiles" / "full" / "variance.yaml").unlink()
    with pytest.raises(Refusal, match=r"profiles/full/variance\.yaml is missing"):
        plan.make(book, profile="full")


def test_a_full_profile_with_an_unknown_name_is_refused(book: Checkout) -> None:
    """A misspelt name in a profile's file does not go unnoticed."""
    (book.root / "profiles" / "full" / "variance.yaml").write_text("sedes: 8\n")
    with pytest.raises(Refusal, match=r"variance\.yaml: .*did you mean 'seeds'"):
        plan.make(book, profile="full")


def test_a_rehearsal_is_tiny_and_says_so(book: Checkout) -> None:
    """Whatever the profile, a rehearsal's values are small and its record is no result's."""
    made = plan.make(book, profile="full", rehearse=True, overrides=[("seeds", "7")])
    assert made.profile == "rehearsal"
    assert made.items[1].parameters == {"task": "digits", "batch_sizes": [4, 8], "seeds": 7}
    (ledger,) = [item for item in made.items if item.last]
    assert ledger.parameters == {"quick_dir": ".", "full_dir": ""}


def test_where_the_book_is(book: Checkout, tmp_path: Path) -> None:
    """A checkout is found from inside it; elsewhere the package's own is."""
    assert checkout.find(book.root / "chapters" / "2-choosing") == book
    assert (checkout.find(tmp_path).root / "bslib" / "book").is_dir()
