"""Building the book: what a page is made of, what is refused, what fails a build."""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bslib import claims
from bslib.book import (
    assemble,
    cheat_sheet,
    claim_directives,
    graft,
    notes,
    pages,
    recorded,
    run_folder,
)
from bslib.book.build import BuildError, build
from bslib.book.checkout import Checkout
from bslib.book.sources import source_hash
from bslib.book.sphinx_extension import failures, mathjax_folder
from bslib.refusal import Refusal
from bslib.stats import Estimate

ROOT = Path(__file__).parent.parent
PAGE = "chapters/3-increasing/gradient-variance.ipynb"
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
FRONT = "# Front\n\n```{main-rules}\n```\n```{claim-tiles}\n```\n```{claims} 3\n```\n"
CARD = '<div class="card">the card</div>'


def notebook(prose: str = "What is seen.", code: str = "1 + 1") -> NotebookNode:
    """Return a claim page's source: title, parameters, one measuring cell, prose."""
    cells = [
        new_markdown_cell("# Is it so?\n\nThe claim.", id="title"),
        new_code_cell("seeds: int = 3  # how many", id="p", metadata={"tags": ["parameters"]}),
        new_code_cell(code, id="measure"),
        new_markdown_cell(prose, id="seen"),
    ]
    return new_notebook(cells=cells, metadata=PYTHON | {"bslib": {"claim": "3.3"}})


def executed(source: NotebookNode, **output: object) -> NotebookNode:
    """Return ``source`` as papermill would leave it, with an injected cell and one output."""
    run = nbformat.from_dict(source)
    run.cells[2].outputs = [new_output(**output)] if output else [verdict_output()]
    run.cells[2].execution_count = 2
    tags = {"tags": ["injected-parameters"]}
    run.cells.insert(2, new_code_cell("# Parameters\nseeds = 8", id="i", metadata=tags))
    return run


def verdict_output() -> NotebookNode:
    arms = claims.claim("3.3").arms
    middles = {arm.name: (arm.low + arm.high) / 2 for arm in arms}
    estimates = {name: Estimate(at, at - 0.01, at + 0.01, n=8) for name, at in middles.items()}
    about = claims.judge("3.3", estimates, {"device": "a CPU"}).to_json()
    bundle = {"text/html": CARD, "text/plain": "supported", claims.MIME: about}
    return new_output("display_data", data=bundle)


def entry(source: NotebookNode, status: str = "ok") -> run_folder.Entry:
    made = run_folder.Provenance("a CPU", {"python": "3.11"}, "abc", "2025-11-23T04:00:00", "full")
    digest = source_hash(source, {"seeds": 8})
    return run_folder.Entry("3.3", status, 4.2, {"seeds": 8}, digest, made)


def found(source: NotebookNode, run: NotebookNode) -> recorded.Recorded:
    return recorded.Recorded(run, entry(source), {"seeds": 8}, stale=False)


def test_a_page_takes_prose_from_the_checkout_and_outputs_from_the_run() -> None:
    """Mended prose shows around outputs that nobody executed again."""
    recorded_page = executed(notebook("old words"))
    page = graft.graft(notebook("new words"), recorded_page)
    assert page.cells[-1].source == "new words"
    assert page.cells[3].outputs == recorded_page.cells[3].outputs
    assert page.cells[2].source == "# Parameters\nseeds = 8"


def test_captions_come_from_the_checkout() -> None:
    """A cell's metadata, captions among them, is prose: it is the checkout's."""
    source = notebook()
    source.cells[2].metadata["mystnb"] = {"figure": {"caption": "new"}}
    assert graft.graft(source, executed(notebook())).cells[3].metadata == source.cells[2].metadata


@pytest.mark.parametrize("code", ["1 + 2", "1 + 1\n"])
def test_changed_code_is_shown_as_it_ran_and_said_to_have_changed(code: str) -> None:
    """Prose is not grafted around code that it was not written for."""
    source, run = notebook("new words", code), executed(notebook("old words"))
    page = assemble.dressed(
        assemble.undressed(source, found(source, run)), source, found(source, run)
    )
    assert "old words" in [cell.source for cell in page.cells]
    assert notes.CHANGED_CODE in page.cells[1].source


def test_the_card_follows_the_title_and_the_provenance_ends_the_page() -> None:
    """The order of a page: question and claim, verdict at a glance, ..., provenance."""
    source = notebook()
    where = found(source, executed(source))
    page = assemble.dressed(assemble.undressed(source, where), source, where)
    assert CARD in page.cells[1].source
    assert all(text in page.cells[-1].source for text in ("a CPU", "seeds = 8", "unchanged", "4.2"))
    assert page.metadata["bslib"]["verdict"]["outcome"] == "supported"


def test_a_criterion_changed_after_the_run_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict stands on its page with the note that its criterion is another now."""
    source = notebook()
    where = found(source, executed(source))
    changed = replace(claims.claim("3.3"), criterion="something else")
    monkeypatch.setitem(claims.CATALOGUE, "3.3", changed)
    page = assemble.dressed(assemble.undressed(source, where), source, where)
    assert notes.CHANGED_CRITERION in page.cells[1].source


def test_a_page_in_no_run_says_so() -> None:
    """Without a run a page shows its code and the note, and no verdict."""
    page = assemble.dressed(assemble.undressed(notebook(), None), notebook(), None)
    assert notes.NOT_RUN in page.cells[1].source
    assert "verdict" not in page.metadata["bslib"]


def run_of(root: Path, profile: str, device: str, *, status: str = "ok") -> recorded.Run:
    """A run folder that holds the page, executed so."""
    source = notebook()
    about = entry(source, status)
    made = replace(about.provenance, device=device, profile=profile)
    folder = run_folder.RunFolder(root / f"{profile}-{device}-{status}")
    record = run_folder.Record(profile, device, {}, "", made.started)
    folder.store(record, PAGE, replace(about, provenance=made), nbformat.writes(executed(source)))
    return recorded.Run.open(folder.root)


def test_a_page_that_the_gpu_has_not_run_says_so(tmp_path: Path) -> None:
    """Where a full run is shown beside it, and lacks it; and nowhere else."""
    path = tmp_path / "page.ipynb"
    path.write_text(nbformat.writes(notebook()))
    quick = run_of(tmp_path, "quick", "CPU (a CPU)")
    full = run_of(tmp_path, "full", "a GPU")
    failed = run_of(tmp_path, "full", "a GPU", status="timeout")
    quick_gpu = run_of(tmp_path, "quick", "a GPU")

    def noted(*runs: recorded.Run) -> str:
        found = recorded.find(path, PAGE, runs)
        failure = recorded.failure(PAGE, runs)
        page = assemble.dressed(assemble.undressed(notebook(), found), notebook(), found, failure)
        return str(page.cells[1].source)

    assert notes.OFF_GPU in noted(failed, quick)
    assert "ended as *timeout*" in noted(failed, quick)
    assert notes.OFF_GPU not in noted(quick)
    assert notes.OFF_GPU not in noted(full, quick)
    assert notes.OFF_GPU not in noted(quick, full)
    assert notes.OFF_GPU not in noted(failed, quick_gpu)


def test_a_download_runs_with_its_own_defaults() -> None:
    """What papermill injected for another machine is told in words, and sets nothing."""
    page = graft.for_download(graft.graft(notebook(), executed(notebook())))
    assert not [cell for cell in page.cells if graft.is_injected(cell)]
    assert page.cells[2].cell_type == "markdown"
    assert "seeds = 8" in page.cells[2].source


def test_failures_are_found() -> None:
    """An error output, or papermill's own record of one, is a failure; a clean page has none."""
    failed = executed(
        notebook(), output_type="error", ename="ValueError", evalue="no", traceback=[]
    )
    assert failures(failed) == ["cell 3 failed: ValueError: no"]
    half = notebook()
    half.metadata["papermill"] = {"exception": True}
    assert failures(half)
    assert not failures(executed(notebook()))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    """An empty folder, a file, nothing at all: refused by name, and nothing is written."""
    make(tmp_path / "run")
    with pytest.raises(Refusal, match="run"):
        build([tmp_path / "run"], tmp_path / "html")
    assert not (tmp_path / "html").exists()


def test_foreign_files_are_not_overwritten(tmp_path: Path) -> None:
    """A folder that no build made is refused and left alone."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Refusal, match="no build made"):
        build([], tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.fixture
def tree(tmp_path: Path) -> Checkout:
    """Return a checkout of two pages: the ledger and one claim."""
    root = tmp_path / "checkout"
    (root / PAGE).parent.mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    toc = "format: jb-book\nroot: chapters/index\nchapters:\n- file: chapters/ledger\n- file: "
    (root / "_toc.yml").write_text(toc + PAGE.removesuffix(".ipynb") + "\n")
    (root / "chapters" / "index.md").write_text(FRONT)
    (root / "chapters" / "references.bib").touch()
    nbformat.write(notebook(), root / PAGE)
    ledger = new_notebook(cells=[new_markdown_cell("# Ledger", id="t")], metadata=PYTHON)
    nbformat.write(ledger, root / assemble.LEDGER)
    return Checkout(root)


def record(folder: Path, source: NotebookNode, run: NotebookNode) -> Path:
    """Write a run folder that holds one page as ok."""
    (folder / PAGE).parent.mkdir(parents=True)
    nbformat.write(run, folder / PAGE)
    about = replace(entry(source), file_hash=run_folder.file_hash(folder / PAGE))
    made = run_folder.Record("full", "a CPU", {}, "", "2025-11-23", 1.0, {PAGE: about})
    (folder / "run.json").write_text(json.dumps(asdict(made)))
    return folder


def digest(html: Path) -> dict[str, str]:
    files = (path for path in sorted(html.rglob("*")) if path.is_file())
    return {
        path.relative_to(html).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_two_builds_give_the_same_bytes(tree: Checkout, tmp_path: Path) -> None:
    """The same sources and run give the same files, wherever they are built."""
    run = record(tmp_path / "run", notebook(), executed(notebook()))
    first = build([run], tmp_path / "one" / "html", tree)
    second = build([run], tmp_path / "another-place" / "html", tree)
    assert digest(first.parent) == digest(second.parent)
    assert CARD in (first.parent / PAGE).with_suffix(".html").read_text()
    front = (first.parent / "chapters" / "index.html").read_text()
    assert front.count('class="bslib-tile bslib-supported"') == 1
    assert front.count("Not settled by the runs of this book.") == len(cheat_sheet.MAIN)
    assert "3.3 Does a larger batch give a steadier gradient?" in front
    assert [path.name for path in first.parent.parent.iterdir()] == ["html"]


def three_one() -> pages.StagedPage:
    """Return a staged page on 3.1: supported at small batches, refuted at large ones."""
    estimates = {}
    for arm, side in zip(claims.claim("3.1").arms, (1, -1, 1, -1), strict=True):
        at = arm.edge + (side if arm.edge == arm.low else -side) * 0.1
        estimates[arm.name] = Estimate(at, at - 0.01, at + 0.01, n=8)
    return pages.StagedPage("a", claims.judge("3.1", estimates), timed=True)


def shown(directive: type[claim_directives.MainRules | claim_directives.ClaimTiles]) -> str:
    """Return what a directive of the front page makes of that page, without Sphinx."""

    class Alone(directive):  # type: ignore[valid-type, misc]
        def __init__(self) -> None: ...

        def staged(self) -> dict[str, pages.StagedPage]:
            return {"3.1": three_one()}

        def link(self, page: pages.StagedPage, text: str) -> str:
            return f"<a>{text}</a>"

    return str(Alone().html())


def test_the_front_page_has_rules_and_arms_from_the_staged_verdicts() -> None:
    """A rule is the cheat sheet's sentence for the page's outcomes, and a tile names arms."""
    rule = cheat_sheet.SOONER.rules[0]
    rules = shown(claim_directives.MainRules)
    assert f"{rule.says['supported', 'refuted']} <span" in rules
    assert "<a>3.1</a>" in rules
    assert rules.count("Not settled by the runs of this book.") == len(cheat_sheet.MAIN) - 2
    tiles = shown(claim_directives.ClaimTiles)
    assert "Supported: steps at small batches, and 1 more." in tiles
    assert tiles.count("bslib-arms") == 2


def test_a_failed_notebook_fails_the_build_and_leaves_the_book_as_it_was(
    tree: Checkout, tmp_path: Path
) -> None:
    """An error output in a notebook listed as ok is named, and the HTML before stays."""
    before = tmp_path / "html" / "searchindex.js"
    before.parent.mkdir()
    before.write_text("before")
    run = record(tmp_path / "run", notebook(), executed(notebook(), **ERROR))
    with pytest.raises(BuildError, match=r"gradient-variance.*cell 3 failed: ValueError: no"):
        build([run], tmp_path / "html", tree)
    assert before.read_text() == "before"


def test_mathjax_comes_with_its_fonts() -> None:
    """The package that carries MathJax holds the one script and the fonts that pages load."""
    folder = mathjax_folder()
    assert (folder / "tex-mml-chtml.js").is_file()
    assert list(folder.glob("output/chtml/fonts/woff-v2/MathJax_Main-Regular.woff"))


PROSE = sorted((ROOT / "chapters").rglob("*.md"))


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_pages_state_no_measured_numbers(path: Path) -> None:
    """No decimals, percentages or factors in prose: numbers are shown by what computed them."""
    prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", path.read_text(), flags=re.DOTALL)
    assert not re.search("\\d\\.\\d|%|\u00d7", prose)


def test_each_section_lists_its_claims_from_the_catalogue() -> None:
    """A section's introduction asks the catalogue for the claims of that section."""
    intros = sorted((ROOT / "chapters").glob("*/intro.md"))
    listed = [re.findall(r"```\{claims\} (\d)", path.read_text()) for path in intros]
    assert listed == [["1"], ["2"], ["3"]]


def test_pages_stand_in_the_order_of_their_claims() -> None:
    """Within a section and over all, the table of contents follows the claims' numbers."""
    keys = [page.claim for page in Checkout(ROOT).pages if page.claim is not None]
    assert keys == list(claims.CATALOGUE)


def test_the_sidebar_numbers_claims() -> None:
    """In the built book a claim's entry starts with its number; other entries stay as they are."""
    given = yaml.safe_load((ROOT / "_toc.yml").read_text())
    made = yaml.safe_load(assemble.numbered(Checkout(ROOT)))
    entries = [
        (old, new)
        for old_part, new_part in zip(given["parts"], made["parts"], strict=True)
        for old, new in zip(old_part["chapters"], new_part["chapters"], strict=True)
    ]
    titled = [new["title"] for old, new in entries if new != old]
    assert titled == [f"{key} {claim.title}" for key, claim in claims.CATALOGUE.items()]


def test_references_name_the_paper_they_link() -> None:
    """Every arXiv link has an identifier, and no key or link occurs twice."""
    text = (ROOT / "chapters" / "references.bib").read_text()
    keys = re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    links = re.findall(r"url = \{(.*?)\}", text)
    assert len(set(keys)) == len(keys)
    assert len(set(links)) == len(links)
    arxiv = [link for link in links if "arxiv" in link]
    assert all(re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{5}", link) for link in arxiv)


def test_the_catalogue_cites_papers_that_the_book_lists() -> None:
    """Every source of a prediction stands in the bibliography."""
    text = (ROOT / "chapters" / "references.bib").read_text()
    keys = set(re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE))
    cited = {key for claim in claims.CATALOGUE.values() for key in claim.references}
    assert cited <= keys


@pytest.mark.parametrize("damage", ["changed", "cut", "lost"])
def test_a_page_that_is_not_as_recorded_is_refused(
    tree: Checkout, tmp_path: Path, damage: str
) -> None:
    """Another file than the recorded one is never published: the build says how to learn more."""
    run = record(tmp_path / "run", notebook(), executed(notebook()))
    text = (run / PAGE).read_text()
    (run / PAGE).write_text(text.replace("supported", "refuted") if damage == "changed" else "{")
    if damage == "lost":
        (run / PAGE).unlink()
    with pytest.raises(Refusal, match=r"gradient-variance\.ipynb is .*bslib verify"):
        build([run], tmp_path / "html", tree)
    assert not (tmp_path / "html").exists()


@pytest.mark.parametrize("batch_sizes", [[4], [4, 64, 256], [4, 8, 16, 64, 256, 512, 724, 1024]])
def test_a_part_of_few_batch_sizes_names_none_twice(batch_sizes: list[int]) -> None:
    """Page 2.5 trains its second optimiser at some of the sizes given, each of them once."""
    page = nbformat.read(ROOT / "chapters" / "2-choosing" / "learning-rate.ipynb", as_version=4)
    (cell,) = (cell for cell in page.cells if cell.id == "measure-adamw")
    found = {"batch_sizes": batch_sizes}
    exec(cell.source.splitlines()[0], found)
    assert len(set(found["sizes"])) == len(found["sizes"])
