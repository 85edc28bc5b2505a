"""results_page: what searches found, as one HTML page with pictures, texts and scores."""

from collections.abc import Mapping
from functools import cache, partial

from .._html import html_templates
from .._items import combined_parts, contents_of, listed_items
from .._relevance import check_relevance, relevant_ids
from ..contents._pictures import quiet_pillow
from ..contents._show_item import check_contents, show_document, show_item
from ..retrieval._results import SearchResult, tell_doubt

THUMBNAIL, FIGURE = 200, 1600  # pixels, of the longer edge


def results_page(
    queries,
    results,
    contents,
    *,
    answers=None,
    title="Search results",
    introduction=None,
    folder=None,
):
    """Show the results of searches as one self-contained HTML page.

    Each query is a row of the page and each of the `results` a column, so that two ways to
    search can be compared at a glance. The page needs no network and runs no script; pictures
    are scaled down and embedded, and link to their files. Whatever texts, names and ids
    contain is shown as text, texts without the marks of Markdown. Where no answer is
    given and the false alarm of a query is above 5 %, the page says that perhaps nothing
    answers it, and above 50 % that probably nothing does.

    Parameters
    ----------
    queries : sequence of length n_queries, or one query
        Texts (str), pictures (``Path``, PIL image, uint8 array of shape (H, W, 3)) or `Query`
        objects around these. A ``Path`` is always a picture file.
    results : SearchResult or dict of str to SearchResult
        What `search` returned for the queries. The keys of a dict are the titles of the
        columns.
    contents : mapping
        The parts of each document by its id: an item, or a list of items. A ``Path`` may be a
        picture file or a text file (``.txt``, ``.md``). Long texts are shortened, and at most
        four parts are shown. Of a document that is missing here, the file is shown if the id
        is the path of a picture or text file, and otherwise only the id.
    answers : sequence of length n_queries, default=None
        Relevance of each query: the id of the right answer, a collection of ids, or a dict
        id -> gain; None where it is unknown. Right answers are marked, and counted at the top.
    title : str, default="Search results"
        Title of the page.
    introduction : text, picture or list of these, default=None
        Paragraphs and pictures (up to 1600 pixels wide or high) above the results. The
        alternative text of a picture is the text before it.
    folder : str or Path, default=None
        Folder in which the page will be kept. Links to files are relative to it, so that it
        can be moved together with them. By default links are absolute ``file:`` URLs.

    Returns
    -------
    str
        An HTML document, to be written as UTF-8. Bytes of file names that are not UTF-8, and
        control characters, are shown as ``\\xe9``. A picture that cannot be read is replaced by
        a note with the reason.

    Raises
    ------
    ValueError
        If `results` is empty, or `results` or `answers` do not have the length of `queries`.
    TypeError
        If `results` are not what a search returned, `contents` is not a mapping, or a query or
        a part is neither a text nor a picture.
    ImportError
        If jinja2 is not installed (extra ``html``), or if there are pictures and Pillow is not
        installed (extra ``clip``).

    See Also
    --------
    gapremoval.search : Returns the results to show.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever, search
    >>> from gapremoval.inspection import results_page
    >>> contents = {"n1": ["a red bicycle"], "n2": ["a lake at night"]}
    >>> retriever = MixedModalityRetriever().fit(np.eye(2), list(contents), modality="text")
    >>> found = search(retriever, [[0.6, 0.8]], modality="text")
    >>> page = results_page(["water under stars"], found, contents, answers=["n2"])
    >>> page[:15], "a lake at night" in page
    ('<!DOCTYPE html>', True)

    To keep it: ``Path("found.html").write_text(page, encoding="utf-8")``.
    """
    queries = listed_items(queries)
    results = check_results(results, len(queries))
    check_contents(contents)
    answers = check_relevance([None] * len(queries) if answers is None else answers)
    if len(answers) != len(queries):
        raise ValueError(
            f"There are {len(answers)} answers to {len(queries)} queries: give one to each, "
            "None where it is unknown."
        )
    right = [set(relevant_ids(gains)) for gains in answers]
    template = html_templates("gapremoval.inspection").get_template("results_page.html")
    with quiet_pillow():
        document = cache(partial(show_document, contents, edge=THUMBNAIL, folder=folder))
        shown = [
            _query(query, {name: found[number] for name, found in results.items()}, ids, document)
            for number, (query, ids) in enumerate(zip(queries, right))
        ]
        introduction = list(_introduction(introduction))
    ranks = [
        (str(name), [query["columns"][i]["rank"] for query in shown if query["n_right"]])
        for i, name in enumerate(results)
    ]
    n_found = max(found.ids.shape[1] for found in results.values())
    return template.render(
        title=str(title), introduction=introduction, ranks=ranks, n_found=n_found, queries=shown
    )


def check_results(results, n_queries, *, name="Found"):
    """The results of searches as a dict; one that has no name gets `name`.

    Parameters and errors are those of `results_page`.
    """
    results = {name: results} if isinstance(results, SearchResult) else results
    if not isinstance(results, Mapping) or not all(
        isinstance(found, SearchResult) for found in results.values()
    ):
        raise TypeError(
            "results must be what search returned, or a dict from a name to that: "
            f"{{'raw': search(...)}}; got {repr(results)[:60]}."
        )
    if not results:
        raise ValueError("results is empty: give at least one result of a search.")
    for name, found in results.items():
        if len(found) != n_queries:
            raise ValueError(
                f"The results {name!r} are those of {len(found)} queries, but {n_queries} queries "
                "are given: give those that were searched, in their order."
            )
    return results


def _introduction(introduction):
    name = "Figure"
    for item in listed_items(() if introduction is None else introduction):
        yield show_item(item, name=name, edge=FIGURE)
        name = item if isinstance(item, str) else "Figure"


def _query(query, results, right, document):
    """One query: its texts and pictures, a right answer, and what each search found."""
    parts = [
        show_item(content, name="The query", edge=THUMBNAIL) | {"weight": weight}
        for part, weight in combined_parts(query) or [(query, None)]
        for content in contents_of(part)
    ]
    return {
        "parts": parts,
        "n_right": len(right),
        "answer": document(min(right, key=str)) if right else None,
        "columns": [_column(name, found, right, document) for name, found in results.items()],
    }


def _column(name, found, right, document):
    """The documents that one search found for one query, and the rank of a right one."""
    cards = [
        record | document(id_) | {"score": score, "is_right": id_ in right}
        for id_, score, record in zip(found.ids[0], found.scores[0], found.to_records())
    ]
    ranks = [card["rank"] for card in cards if card["is_right"]]
    # Where an answer is known there is no doubt that there is one.
    is_unknown = found.false_alarm is not None and not right
    doubt = tell_doubt(found.false_alarm[0]) if is_unknown else ""
    return {
        "name": str(name),
        "cards": cards,
        "doubt": doubt,
        "rank": min(ranks, default=None),
    }
