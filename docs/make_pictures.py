"""Draws every picture of the docs and works out every number they quote.

    python docs/make_pictures.py            the pictures, and the numbers: printed, and put into the text
    python docs/make_pictures.py --time     the measured costs instead (on a quiet machine, about 10 s)

Needs the demo extra. A number in the text carries its name in a comment, like 0.25<!--sigmoid_slope_0-->; the numbers
that anybody can compute again are checked by tests/test_docs.py.
"""

from __future__ import annotations

import argparse

import shown_activations
import shown_classification
import shown_regression
from book import HERE, Book, write_numbers
from threadpoolctl import threadpool_limits

PAGES = {
    "activations.md": (shown_activations,),
    "losses.md": (shown_classification, shown_regression),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the docs and compute the numbers they quote.")
    parser.add_argument("--time", action="store_true", help="measure the costs instead (needs a quiet machine)")
    options = parser.parse_args()
    threadpool_limits(1, "blas")  # the matrix products are small
    for page, modules in PAGES.items():
        book = Book(None if options.time else HERE / "pictures")
        for shown in modules:
            for point in getattr(shown, "MEASUREMENTS", ()) if options.time else shown.POINTS:
                point(book)
        for name, value in book.facts.items():
            print(f"{page[:-3]:>12}  {name:<26}{value}")
        write_numbers(HERE / page, book.facts)


if __name__ == "__main__":
    main()
