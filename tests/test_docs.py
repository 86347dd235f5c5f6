"""The docs' numbers are what fastact computes, and their pictures and links exist."""

import importlib
import re
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {"activations.md": ["shown_activations"], "losses.md": ["shown_classification", "shown_regression"]}


@pytest.fixture
def docs(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    with threadpool_limits(1, "blas"):
        yield importlib.import_module("book")


@pytest.mark.parametrize("page", PAGES)
def test_the_quoted_numbers(page, docs):
    """To the last digit where there is a formula; a training may go another way on another BLAS."""
    modules = [importlib.import_module(name) for name in PAGES[page]]
    quoted = docs.quoted(DOCS / page)
    wrong = []
    points = [(module, point) for module in modules for point in module.POINTS]
    for module, point in points:
        book = docs.Book()
        point(book)
        for name, value in book.facts.items():
            if name not in quoted:
                continue
            trained = point in module.TRAINED
            close = {"rel": 0.15 if trained else 1e-12, "abs": 5 if trained and value.isdigit() else 0}
            if float(quoted.pop(name).replace(",", "")) != pytest.approx(float(value.replace(",", "")), **close):
                wrong.append(f"{name}: computed {value}")
    assert not wrong
    measured = tuple(start for module in modules for start in getattr(module, "MEASURED", ()))
    assert not [name for name in quoted if not name.startswith(measured)], "quoted but not computed"


def anchors(page):
    """What a link may name after #: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")]), ids=lambda page: page.name)
def test_pictures_and_links_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_no_page_is_left_unlinked():
    """Every page and picture of docs/ is reached from README.md or another page."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in pages
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert not {p for p in (*DOCS.glob("*.md"), *DOCS.glob("pictures/*.png")) if p.resolve() not in linked}


@pytest.mark.parametrize("page", [ROOT / "README.md", *(DOCS / page for page in PAGES)], ids=lambda page: page.name)
def test_the_examples_run(page):
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        exec(code, names)
