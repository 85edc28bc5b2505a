"""results_page: what searches found, as one HTML page with pictures, texts and scores."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from .._items import Query, is_picture
from .._relevance import check_relevance
from ..encoders._pictures import quiet_pillow
from ..retrieval._results import SearchResult
from ._html import show_item, show_text

THUMBNAIL, FIGURE = 200, 1600  # pixels, of the longer edge
MAX_SNIPPET, MAX_TEXT = 200, 400  # characters, of a document's text and of a query or an id
MAX_PARTS = 4  # of a document, in its card


def results_page(
    queries, results, contents, *, answers=None, title="Search results", introduction=None
):
    """Show what was found for each query, as one HTML page that stands on its own.

    Each query is a row of the page, each of the `results` a column of it, so that two ways
    to search can be compared at a glance. The page needs no network and runs no script:
    pictures are scaled down and lie in the page itself. Whatever the texts, names and ids
    hold is shown as text.

    Parameters
    ----------
    queries : sequence of length n_queries, or one query
        What was asked: texts (str), pictures (``Path``, PIL image, uint8 array of shape
        (H, W, 3)) or `Query` of these. A ``Path`` is always a picture file.
    results : SearchResult or dict of str to SearchResult
        What `search` found for the queries; a dict names its columns.
    contents : mapping
        For the id of each document its parts, a list of texts and pictures; one part need
        not be in a list. Of a document that is not there the id is shown alone. A long text
        is shortened, and no more than four parts are shown.
    answers : sequence of length n_queries, default=None
        The id of the right answer to each query, several of them, or a dict id -> gain;
        None where it is unknown. Right answers are marked, and counted at the top.
    title : str, default="Search results"
        Title of the page.
    introduction : text, picture or list of these, default=None
        What stands above the results: texts, a paragraph each, and pictures of up to 1600
        pixels. For who cannot see it a picture is named by the text before it.

    Returns
    -------
    str
        An HTML document to be written as UTF-8. A byte of a file name that is no UTF-8
        shows as ``\\xe9``, a control character likewise. A picture that cannot be read is
        replaced by a note that says why.

    Raises
    ------
    ValueError
        If `results` is empty, or `results` and `answers` are not of the queries' length.
    TypeError
        If `results` holds anything but results of a search, `contents` is no mapping, or
        something to be shown is neither a text nor a picture.
    ImportError
        If there are pictures and Pillow is not installed (extra ``clip``).

    See Also
    --------
    gapremoval.search : Makes the results.

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
    queries = _listed(queries)
    results = _check_results(results, len(queries))
    if not isinstance(contents, Mapping):
        raise TypeError(
            "contents must be a dict from a document's id to the list of its texts and "
            f"pictures; got a {type(contents).__name__}."
        )
    answers = check_relevance([None] * len(queries) if answers is None else answers)
    if len(answers) != len(queries):
        raise ValueError(
            f"There are {len(answers)} answers to {len(queries)} queries: give one to each, "
            "None where it is unknown."
        )
    right = [{id_ for id_, gain in (given or {}).items() if gain > 0} for given in answers]
    with quiet_pillow():
        shown = _Documents(contents)
        body = [f"<header>\n<h1>{show_text(title)}</h1>", *_introduce(introduction)]
        body += [*_count(results, right), "</header>\n<main>"]
        for number, (query, ids) in enumerate(zip(queries, right)):
            body.append(f'<section class="query">\n{_ask(query, number)}')
            if ids:
                body.append(_answer(ids, shown))
            body.append('<div class="columns">')
            body += [_column(name, found, number, ids, shown) for name, found in results.items()]
            body.append("</div>\n</section>")
    head = [f"{_HEAD}<title>{show_text(title)}</title>", f"<style>{_STYLE}</style>", "</head>"]
    return "\n".join([*head, "<body>", *body, "</main>", "</body>", "</html>", ""])


def _check_results(results, n_queries):
    results = {"Found": results} if isinstance(results, SearchResult) else results
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
                f"The results {name!r} are those of {len(found)} queries, but {n_queries} "
                "queries are given: give those that were searched, in their order."
            )
    return results


class _Documents:
    """The parts of each document as HTML, made when first asked for."""

    def __init__(self, contents):
        self.contents, self.made = contents, {}

    def card(self, id_, facts):
        """Pictures on one side; texts and facts about the document on the other."""
        if id_ not in self.made:
            parts = _listed(self.contents.get(id_, ()))
            made = [
                show_item(item, name=f"Picture of {id_}", edge=THUMBNAIL, up_to=MAX_SNIPPET)
                for item in parts[:MAX_PARTS]
            ]
            if len(parts) > MAX_PARTS:
                made.append(f'<p class="note">and {len(parts) - MAX_PARTS} more</p>')
            pictures = "".join(part for part in made if part.startswith("<img"))
            self.made[id_] = (
                f'<div class="pictures">{pictures}</div>' if pictures else "",
                "".join(part for part in made if not part.startswith("<img")),
            )
        pictures, texts = self.made[id_]
        facts = " · ".join([f'<span class="id">{show_text(id_, MAX_TEXT)}</span>', *facts])
        return f'{pictures}<div>{texts}<p class="facts">{facts}</p></div>'


def _introduce(introduction):
    name = "Figure"
    for item in _listed(() if introduction is None else introduction):
        yield show_item(item, name=name, edge=FIGURE, up_to=None)
        name = item if isinstance(item, str) else "Figure"


def _count(results, right):
    """How often the right answer was found by each: a table, where answers are known."""
    n_judged = sum(map(bool, right))
    if not n_judged:
        return
    n_shown = max(found.ids.shape[1] for found in results.values())
    yield (
        "<table>\n<caption>The right answer to the queries below</caption>\n<thead><tr>"
        '<td></td><th scope="col">comes first</th>'
        f'<th scope="col">is among the first {n_shown}</th></tr></thead>\n<tbody>'
    )
    for name, found in results.items():
        ranks = [_best_rank(row, ids) for row, ids in zip(found.ids.tolist(), right)]
        counts = sum(rank == 1 for rank in ranks), sum(rank is not None for rank in ranks)
        cells = "".join(f"<td>{count} of {n_judged}</td>" for count in counts)
        yield f'<tr><th scope="row">{show_text(name)}</th>{cells}</tr>'
    yield "</tbody>\n</table>"


def _best_rank(found, right):
    return next((rank for rank, id_ in enumerate(found, 1) if id_ in right), None)


def _ask(query, number):
    """The query as a heading, its picture below."""
    if isinstance(query, Query):
        image = Path(query.image) if isinstance(query.image, str) else query.image
        items = [x for x in (query.item, query.text, image) if x is not None]
    else:
        items = [query]
    texts = [show_text(item, MAX_TEXT) for item in items if isinstance(item, str)]
    pictures = [
        show_item(item, name="The query", edge=THUMBNAIL, up_to=None)
        for item in items
        if not isinstance(item, str)
    ]
    asked = " ".join(texts) or "A picture"
    return (
        f'<div class="asked"><h2 dir="auto"><span class="label">Query {number + 1}</span> '
        f"{asked}</h2>{''.join(pictures)}</div>"
    )


def _answer(right, shown):
    label = "The right answer" if len(right) == 1 else f"One of {len(right)} right answers"
    card = shown.card(min(right, key=str), [])
    return f'<div class="answer"><p class="label">{label}</p><div class="card">{card}</div></div>'


def _column(name, found, number, right, shown):
    """What one search found for one query."""
    ids = found.ids[number].tolist()
    verdict = ""
    if right:
        rank = _best_rank(ids, right)
        told = (
            f"right answer in place {rank}" if rank else f"right answer not among these {len(ids)}"
        )
        kind = "lost" if not rank else "first" if rank == 1 else "later"
        verdict = f' <span class="verdict {kind}">{told}</span>'
    cards = []
    for place, id_ in enumerate(ids):
        facts = [
            show_text(found.modalities[number, place]),
            f"score {found.scores[number, place]:.3f}",
        ]
        if found.probabilities is not None and found.probabilities[number, place] >= 0:
            facts.append(f"probability {found.probabilities[number, place]:.2f}")
        is_right = id_ in right
        if is_right:
            facts.append('<strong class="mark">✓ right answer</strong>')
        kind = "card right" if is_right else "card"
        cards.append(f'<li class="{kind}">{shown.card(id_, facts)}</li>')
    listed = "\n".join(["<ol>", *cards, "</ol>"]) if cards else '<p class="note">Nothing</p>'
    return f'<div class="column">\n<h3>{show_text(name)}{verdict}</h3>\n{listed}\n</div>'


def _listed(items):
    """Several items as a list, and one item as a list of one."""
    is_one = isinstance(items, str | Query) or is_picture(items) or not isinstance(items, Iterable)
    return [items] if is_one else list(items)


# The policy forbids scripts and anything from elsewhere, should an escape ever be forgotten.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
"""

_STYLE = """
:root { color-scheme: light dark; --page: #f6f6f3; --card: #fff; --ink: #22262b; --quiet: #5f6670;
  --line: #dcdcd6; --good: #1a7f45; --good-card: #e7f6ec; --late: #8a5a00; --bad: #a8352a; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --card: #202327; --ink: #e6e7e9;
  --quiet: #a2a9b3; --line: #353a41; --good: #6fd597; --good-card: #17301f; --late: #e0b055;
  --bad: #f0938a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 0; font-size: 1.1rem; line-height: 1.4; }
h3 { margin: 0 0 .5rem; font-size: .95rem; }
p { margin: 0; }
header > p { max-width: 46rem; margin-bottom: .75rem; white-space: pre-line; }
header > img { display: block; max-width: 100%; height: auto; margin-bottom: 1rem;
  border-radius: .5rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
thead th { font-weight: 400; color: var(--quiet); }
th, td { padding: .2rem 1rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
tbody th { max-width: 10rem; overflow-wrap: break-word; }
.query { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: flex-start;
  padding: 1.5rem 0; border-top: 1px solid var(--line); }
.asked { flex: 1 1 20rem; min-width: 0; }
.asked img { height: 7rem; width: auto; max-width: 100%; object-fit: contain; margin-top: .4rem;
  border-radius: .3rem; }
.label { display: block; font-size: .8rem; font-weight: 400; color: var(--quiet); }
.answer { flex: 0 1 22rem; }
.columns { flex: 1 0 100%; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.column { min-width: 0; }
.verdict { font-weight: 400; margin-left: .4rem; }
.verdict::before { content: "● "; }
.first { color: var(--good); } .later { color: var(--late); } .lost { color: var(--bad); }
ol { list-style: none; counter-reset: place; margin: 0; padding: 0; display: grid; gap: .4rem; }
.card { display: flex; gap: .75rem; align-items: center; }
.card > div { min-width: 0; }
li { min-height: 6rem; padding: .5rem .75rem; counter-increment: place; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
li::before { content: counter(place); align-self: flex-start; color: var(--quiet); }
li.right { background: var(--good-card); border-color: var(--good);
  box-shadow: 0 0 0 1px var(--good); }
.mark { color: var(--good); white-space: nowrap; }
.pictures { display: flex; flex: none; gap: .3rem; max-width: 40%; flex-wrap: wrap; }
.pictures img { height: 4.5rem; width: auto; max-width: 100%; object-fit: contain;
  border-radius: .3rem; }
.pictures img:not(:only-child) { height: 2.6rem; max-width: 47%; }
.card p { font-size: .9rem; line-height: 1.35; }
.card .facts, .card .note { font-size: .8rem; color: var(--quiet); }
.facts { margin-top: .2rem; }
.note { font-style: italic; color: var(--quiet); }
.id { color: var(--ink); white-space: pre-wrap; }
"""
