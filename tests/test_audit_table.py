"""Reading somebody's table: what is understood, and what is refused before any analysis."""

from pathlib import Path
from typing import Any

import audit_case
import pandas as pd
import pytest

from bslib import audit
from bslib.audit import columns, metrics, table
from bslib.refusal import Refusal

GOOD = "batch_size,learning_rate,steps,val_acc,seed\n8,0.1,100,0.5,0\n64,0.1,100,0.6,0\n"


def read(text: str, folder: Path, **options: Any) -> table.SweepTable:
    path = folder / "sweep.csv"
    path.write_text(text)
    return table.read(path, **options)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("no table here\nat all\n", "is not CSV"),
        ("a,b\0,c\n1,2,3\n", "binary"),
        ("batch_size,learning_rate,steps,val_acc,seed\n", "no rows"),
        (GOOD + "8,0.1\n", "line 4 has 2 cells"),
        (GOOD.replace("batch_size", "batch_sise"), "did you mean 'batch_sise'"),
        (GOOD.replace("batch_size", "per_device_batch"), "a column batch_size"),
        (GOOD.replace("learning_rate", "learnin_rate"), "did you mean 'learnin_rate'"),
        (GOOD.replace("steps", "length"), "steps or epochs"),
        (GOOD.replace("seed", "steps"), "there twice"),
        (GOOD.replace("val_acc", "quality"), "--metric COLUMN"),
        (GOOD.replace("64,0.1", "many,0.1"), "line 3: batch_size must be a number"),
        (GOOD.replace("64,0.1", ",0.1"), "line 3: batch_size must be a number, and it is empty"),
        (GOOD.replace("64,0.1", "0,0.1"), "at least 1"),
        (GOOD.replace("64,0.1", "-64,0.1"), "at least 1"),
        (GOOD.replace("64,0.1", "64.5,0.1"), "a whole number"),
        (GOOD.replace("64,0.1", "inf,0.1"), "finite"),
        (GOOD.replace("64,0.1", "64,0"), "learning_rate must be above 0"),
        (GOOD.replace("64,0.1", "64,nan"), "learning_rate must be a number"),
        (GOOD.replace("64,0.1,100", "64,0.1,0"), "steps must be above 0"),
        (GOOD.replace("64,0.1,100", "64,0.1,"), "line 3 says neither steps nor epochs"),
        (GOOD.replace("0.6,0", "good,0"), "line 3: val_acc must be a number, and it is 'good'"),
        (GOOD.replace("0.6,0", "0.6,"), "line 3: seed must be a number, and it is empty"),
        (GOOD.replace("0.6,0", "0.6,0.5"), "line 3: seed must be a whole number"),
        (GOOD.replace("0.5,0", "nan,0").replace("0.6,0", "diverged,0"), "no row has a val_acc"),
        (GOOD.replace("0.5,0", ",0").replace("0.6,0", ",0"), "no row has a val_acc"),
        (GOOD.replace("64,0.1", "1e25,0.1"), "batch_size must be at most 1e.12"),
        (GOOD.replace("64,0.1", '64,"0,1"'), "'0,1'; write a decimal point"),
        (GOOD.replace("0.6,0", "60%,0"), "'60%'; leave out the %"),
        (GOOD.replace("64,0.1", "8,0.2").replace("batch_size", "bs"), "all 2 rows have bs 8"),
        (GOOD.replace("64,0.1", "8,0.2"), "all 2 rows have batch_size 8"),
    ],
)
def test_bad_tables_are_refused(text: str, says: str, tmp_path: Path) -> None:
    """Each fault of a table is a refusal that names it, with its line where it has one."""
    with pytest.raises(Refusal, match=says):
        read(text, tmp_path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are refused."""
    for path, says in ((tmp_path / "no.csv", "no file"), (tmp_path, "it is a folder")):
        with pytest.raises(Refusal, match=says):
            table.read(path)
    (tmp_path / "sweep.csv").write_bytes(b"\xff\xfe\xfa,\x80")
    with pytest.raises(Refusal, match="no text in UTF-8"):
        table.read(tmp_path / "sweep.csv")


def test_problems_are_not_mixed(tmp_path: Path) -> None:
    """Runs of two optimisers are refused, and one of them is read with ``where``."""
    made = audit_case.sweep(seeds=range(2), fresh=())
    both = pd.concat([made.assign(optimizer="sgd"), made.assign(optimizer="adam")])
    path = audit_case.written(both, tmp_path)
    with pytest.raises(Refusal, match="--where optimizer adam"):
        table.read(path)
    found = table.read(path, where=[("optimizer", "adam")])
    assert (len(found.runs), found.optimizer) == (len(made), "adam")
    numeric = table.read(path, where=[("optimizer", "sgd"), ("seed", "1.0")])
    assert set(numeric.runs["seed"]) == {1}
    for where, says in ((("opt", "x"), "no column 'opt'"), (("optimizer", "x"), "no row has")):
        with pytest.raises(Refusal, match=says):
            table.read(path, where=[where])


def test_values_that_say_the_same_are_one(tmp_path: Path) -> None:
    """Capitals and trailing zeros make neither another problem, nor a setting that varies."""
    head = GOOD.replace("seed", "seed,Optimizer,width,warmup")
    text = head.replace("0.5,0", "0.5,0,SGD,128,10").replace("0.6,0", "0.6,0,sgd,128.0,1e1")
    found = read(text, tmp_path)
    assert (found.optimizer, found.varied, found.confounded) == ("sgd", (), ())
    assert read(text, tmp_path, where=[("Optimizer", "Sgd"), ("width", "128")]).batch_sizes == [
        8,
        64,
    ]
    other = text.replace("sgd,128.0", "sgd,64")
    with pytest.raises(Refusal, match="mixes problems: width is 128, 64"):
        read(other, tmp_path)


@pytest.mark.parametrize("where", [{"optimizer": "SGD"}, [("seed", 1)], ("seed", "1")])
def test_python_callers_are_told_what_to_pass(where: Any, tmp_path: Path) -> None:
    """A frame in place of a path, and rows asked for otherwise than by pairs of texts."""
    frame = audit_case.sweep(budgets=["steps"])
    with pytest.raises(Refusal, match="path of a CSV file, not a DataFrame"):
        audit.audit(frame)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="where takes pairs of texts"):
        audit_case.audited(frame, tmp_path, where=where)


@pytest.mark.parametrize(
    ("header", "split", "maximise"),
    [
        ("val_acc", "validation", True),
        ("validation_accuracy", "validation", True),
        ("eval/loss", "validation", False),
        ("valLoss", "validation", False),
        ("valacc", "validation", True),
        ("test_acc", "test", True),
        ("train_loss", "training", False),
        ("Perplexity", "", False),
        ("f1", "", True),
        ("quality", "", None),
    ],
)
def test_names_tell_split_and_direction(header: str, split: str, maximise: bool | None) -> None:
    """A metric's name says of which data it is and whether more is better, or it does not."""
    found = metrics.of(header)
    assert (found.split, found.maximise) == (split, maximise)


def test_validation_accuracy_comes_first(tmp_path: Path) -> None:
    """Of several metrics the validation accuracy is taken, then its loss, then test data's."""
    names = ["train_loss", "test_acc", "val_loss", "val_acc"]
    assert [each.name for each in metrics.recognise(names)] == names[::-1]
    text = GOOD.replace("val_acc", "quality")
    with pytest.raises(Refusal, match="--maximise"):
        read(text, tmp_path, metric="quality")
    with pytest.raises(Refusal, match="no column 'acc'"):
        read(text, tmp_path, metric="acc")
    found = read(text, tmp_path, metric="quality", maximise=False)
    assert list(found.runs["score"]) == [-0.5, -0.6]


@pytest.mark.parametrize(
    "beside",
    ["val_acc_std", "val_acc_sem", "val/acc_stderr", "var_acc", "best_acc_epoch", "acc_step",
     "val_acc_time", "acc_count", "val_acc_max", "min_val_acc"],
)  # fmt: skip
def test_what_stands_beside_a_result_is_none(beside: str, tmp_path: Path) -> None:
    """A spread, an extreme or a time of a metric is compared by only where it is named."""
    text = GOOD.replace("val_acc", f"{beside},val_acc").replace(",100,", ",100,7,")
    found = read(text, tmp_path)
    assert (found.metric.name, found.columns.unread) == ("val_acc", (beside,))
    assert read(text, tmp_path, metric=beside).metric.name == beside
    with pytest.raises(Refusal, match="no column is a known metric"):
        read(GOOD.replace("val_acc", beside), tmp_path)


def test_columns_without_values_are_absent(tmp_path: Path) -> None:
    """An empty seed, length or metric leaves its place to what has values."""
    text = GOOD.replace("val_acc,seed", "val_acc,test_acc,seed,epochs,data_size")
    text = text.replace("0.5,0", "nan,0.5,,,").replace("0.6,0", ",0.6,,,-")
    found = read(text, tmp_path)
    assert (found.metric.name, set(found.columns.found)) == (
        "test_acc", {"batch_size", "learning_rate", "steps"},
    )  # fmt: skip
    assert found.columns.unread == ("val_acc", "seed", "epochs", "data_size")


def test_steps_to_target_come_before_a_metric_without_values(tmp_path: Path) -> None:
    """A table of steps to target with an empty accuracy beside them is read for its steps."""
    text = GOOD.replace("val_acc", "val_acc,steps_to_target")
    text = text.replace("0.5,0", ",70,0").replace("0.6,0", ",40,0")
    assert read(text, tmp_path).metric.name == metrics.TO_TARGET


def test_seeds_may_have_names(tmp_path: Path) -> None:
    """Each name is a seed of its own, wherever it stands and however it is written."""
    rows = "8,0.1,100,0.5,b\n64,0.1,100,0.6,a\n8,0.1,100,0.5,A\n64,0.1,100,0.6,b\n"
    found = read(GOOD.splitlines()[0] + "\n" + rows, tmp_path)
    assert found.runs["seed"].tolist() == [1, 0, 0, 1]


def test_what_training_used_comes_before_what_evaluation_used() -> None:
    """Of two batch sizes that differ in their path alone, training's is taken."""
    headers = ["eval/batch_size", "train/batch_size", "lr", "test.steps", "steps", "acc"]
    found = columns.recognise(headers).found
    assert (found["batch_size"], found["steps"]) == ("train/batch_size", "steps")


def test_a_long_table_is_told_as_one(tmp_path: Path) -> None:
    """A column of metrics' names and one of values bring the command that takes one of them."""
    text = "bs,lr,steps,Metric,Value\n8,1,9,val_acc,0.5\n8,1,9,loss,3\n64,1,9,val_acc,0.6\n"
    with pytest.raises(Refusal, match="--where Metric NAME --metric Value --maximise"):
        read(text, tmp_path)
    found = read(text, tmp_path, where=[("Metric", "val_acc")], metric="Value", maximise=True)
    assert found.runs["value"].tolist() == [0.5, 0.6]


def test_other_names_are_understood() -> None:
    """Aliases, other spellings and paths of names are found, and the rest is listed as unread."""
    found = columns.recognise(["Batch Size", "config.lr", "epoch", "WD", "val/acc", "host"])
    assert found.found == {
        "batch_size": "Batch Size", "learning_rate": "config.lr", "epochs": "epoch",
        "weight_decay": "WD",
    }  # fmt: skip
    assert (found.unread, found.metrics[0].name) == (("host",), "val/acc")


def test_the_global_batch_size_is_preferred() -> None:
    """Where a table has both, examples a step of all devices are taken."""
    found = columns.recognise(["batch_size", "global_batch_size", "lr", "steps", "acc"])
    assert found.found["batch_size"] == "global_batch_size"


@pytest.mark.parametrize("name", ["examples", "data_size"])
def test_epochs_become_steps(name: str, tmp_path: Path) -> None:
    """With the size of the data, epochs give steps and examples; without, their ratios alone."""
    text = f"bs,lr,epochs,{name},acc\n10,0.1,3,1000,0.5\n50,0.1,3,1000,0.6\n"
    counted = read(text, tmp_path)
    assert list(counted.runs["steps"]) == [300, 60]
    assert (counted.absolute, counted.data_size) == (True, 1000)
    relative = read("bs,lr,epochs,acc\n10,0.1,3,0.5\n50,0.1,3,0.6\n", tmp_path)
    assert not relative.absolute
    assert relative.runs["steps"][0] == 5 * relative.runs["steps"][1]


def test_examples_may_be_those_seen(tmp_path: Path) -> None:
    """A column ``examples`` that is steps times batch size says nothing of the data's size."""
    found = read("bs,lr,steps,examples,acc\n10,1,30,300,0.5\n50,1,60,3000,0.6\n", tmp_path)
    assert found.data_size is None
    assert list(found.runs["examples"]) == [300, 3000]


def test_some_epochs_and_some_steps_need_the_data_size(tmp_path: Path) -> None:
    """Rows that cannot be compared in length are refused, and can be with the data's size."""
    rows = "bs,lr,epochs,steps,acc{}\n10,1,3,,0.5{}\n50,1,,60,0.6{}\n"
    with pytest.raises(Refusal, match="data_size"):
        read(rows.format("", "", ""), tmp_path)
    found = read(rows.format(",data_size", ",1000", ",1000"), tmp_path)
    assert list(found.runs["examples"]) == [3000, 3000]


def test_failures_stay_in_the_table(tmp_path: Path) -> None:
    """Words for failure, blanks and infinities are failed runs, and no row is dropped."""
    rows = "".join(f"64,0.1,100,{word},{at}\n" for at, word in
                   enumerate(["nan", "", "inf", "diverged", "OOM"], 1))  # fmt: skip
    found = read(GOOD + rows, tmp_path)
    assert (len(found.runs), int(found.runs["score"].isna().sum())) == (7, 5)


def test_copies_are_dropped_and_other_repeats_averaged(tmp_path: Path) -> None:
    """A row that is there twice counts once; one seed with two results is their mean."""
    found = read(GOOD + "8,0.1,100,0.5,0\n64,0.1,100,0.8,0\n", tmp_path)
    assert (found.copies, found.repeated) == ((4,), ((3, 5),))
    assert found.runs["value"].tolist() == pytest.approx([0.5, 0.7])


def test_semicolons_and_tabs_part_columns_too(tmp_path: Path) -> None:
    """The first line tells the separator, and a mark of byte order is no part of a name."""
    for separator in ";\t":
        found = read("\ufeff" + GOOD.replace(",", separator), tmp_path)
        assert found.batch_sizes == [8, 64]


def test_lines_count_blank_ones(tmp_path: Path) -> None:
    """A complaint names the line as an editor counts it."""
    with pytest.raises(Refusal, match="line 5"):
        read(GOOD.replace("\n64", "\n\n64") + "64,-1,100,0.5,1\n", tmp_path)
