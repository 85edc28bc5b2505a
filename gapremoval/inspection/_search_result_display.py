"""SearchResultDisplay: what searches found, as strips of pictures and texts."""

import textwrap
from collections.abc import Mapping

import numpy as np

from .._html import percent, writable
from .._items import contents_of, is_item, listed_items
from .._relevance import check_relevance, check_y, relevant_ids
from .._search import search
from ..contents._pictures import UnreadablePicture, quiet_pillow, read_picture
from ..contents._show_item import check_contents
from ._axes import axes_grid
from ._colors import DARK, modality_colors
from ._results_page import check_results

EDGE = 200  # pixels of a picture's longer edge
SIDE = 1.5  # inches of a cell
CHARACTERS, LINES = 21, 9  # of a text that fills a cell
RIGHT = "\N{CHECK MARK}"


class SearchResultDisplay:
    """What a search found, a strip of pictures and texts for each query.

    The query is on the left, the documents found follow, best first. The color of a frame is
    that of the document's modality, the number its probability in percent or, without
    probabilities, its score. Right answers have a check mark and a bold title.

    Parameters
    ----------
    found : SearchResult or dict of str to SearchResult
        What `search` returned for the queries. Each entry of a dict is a strip of its own, so
        that two ways to search can be compared.
    queries : sequence of length n_queries
        The queries: texts, pictures or `Query` objects. Rows of numbers are shown by number.
    contents : dict
        The parts of each document by its id: a text, a picture, or a list of these. The first
        picture and the first text are shown. A document that is missing is shown by its id.
    relevance : sequence of length n_queries, default=None
        The id of the document that answers each query, a collection of ids, or a dict id ->
        gain; None where it is unknown.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_strips, 1 + n_found)
        The cells: the query, then the documents found. All strips of a query follow each other.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    results_page : The same as an HTML page.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray, MixedModalityRetriever
    >>> from gapremoval.inspection import SearchResultDisplay
    >>> contents = {"n1": "a red bicycle", "n2": "a lake at night"}
    >>> retriever = MixedModalityRetriever().fit(np.eye(2), list(contents), modality="text")
    >>> query = EmbeddingArray([[0.6, 0.8]], "query:text")
    >>> display = SearchResultDisplay.from_estimator(retriever, query, contents, ["n2"])
    >>> [cell.get_title() for cell in display.axes_[0, 1:]]
    ['✓ text 0.80', 'text 0.60']
    """

    def __init__(self, found, queries, contents, relevance=None):
        self.found = found
        self.queries = queries
        self.contents = contents
        self.relevance = relevance

    @classmethod
    def from_estimator(
        cls,
        estimator,
        queries,
        contents,
        relevance=None,
        *,
        n_neighbors=5,
        modality=None,
        ax=None,
    ):
        """Search, and draw what was found.

        Parameters
        ----------
        estimator : fitted Pipeline, search object or retriever, or dict of str to these
            One estimator, or several by name; each has a strip for each query.
        queries : object
            One raw item, or a sequence of queries as `search` takes them.
        contents : dict
            The parts of each document by its id, as for the constructor.
        relevance : sequence of length n_queries, default=None
            Relevance, as for the constructor.
        n_neighbors : int, default=5
            Number of documents per query.
        modality : str or sequence of str, default=None
            Modality of vectors without tags, as for `search`.
        ax : matplotlib Axes or array of Axes, default=None
            One to be divided, or as many as there are cells. By default those of a new figure.

        Returns
        -------
        SearchResultDisplay

        Raises
        ------
        ValueError
            If `search` refuses the queries, or as for `plot`.
        ImportError
            If matplotlib is not installed (extra ``plot``), or Pillow where there are pictures
            (extra ``clip``).
        """
        queries = [queries] if is_item(queries) else queries
        several = isinstance(estimator, Mapping)
        found = {
            name: search(each, queries, n_neighbors, modality=modality)
            for name, each in (estimator.items() if several else [("", estimator)])
        }
        return cls(found, queries, contents, relevance).plot(ax)

    def plot(self, ax=None):
        """Draw the strips.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            One to be divided, or as many as there are cells. By default those of a new figure.

        Returns
        -------
        SearchResultDisplay
            Itself.

        Raises
        ------
        TypeError
            If `contents` is no dict, or `found` is not what a search returned.
        ValueError
            If there is no result, `found` or `relevance` do not have the length of `queries`, or
            the number of axes is not that of the cells.
        ImportError
            If matplotlib is not installed (extra ``plot``), or Pillow where there are pictures
            (extra ``clip``).
        """
        queries = [self.queries] if is_item(self.queries) else [*self.queries]
        found = check_results(self.found, len(queries), name="")
        check_contents(self.contents)
        answers = [None] * len(queries) if self.relevance is None else self.relevance
        right = map(relevant_ids, check_relevance(check_y(answers, len(queries), "relevance")))
        n_found = max(result.ids.shape[1] for result in found.values())
        shape = (len(queries) * len(found), 1 + n_found)
        self.axes_ = axes_grid(ax, *shape, (SIDE, 1.17 * SIDE), each="cells")
        self.figure_ = self.axes_[0, 0].figure
        names = {name for result in found.values() for name in result.modalities.flat if name}
        colors = modality_colors(sorted(names))
        strips = iter(self.axes_)
        with quiet_pillow():
            for number, (query, answers) in enumerate(zip(queries, right)):
                for place, (name, result) in enumerate(found.items()):
                    first, *cells = next(strips)
                    first.set_axis_off()
                    if not place:
                        _show(first, contents_of(query) if is_item(query) else [f"query {number}"])
                        first.set_title("query", fontsize="small")
                    if name:
                        first.text(-0.06, 0.5, name, rotation=90, ha="right", va="center")
                    self._draw_found(cells, result[number], answers, colors)
        return self

    def _draw_found(self, cells, found, answers, colors):
        """The documents found for one query."""
        for cell in cells[found.ids.shape[1] :]:
            cell.set_axis_off()
        odds = found.probabilities
        shown = [f"{score:.2f}" for score in found.scores[0]]
        if odds is not None and not np.isnan(odds).any():
            shown = [percent(probability) for probability in odds[0]]
        for cell, id_, modality, value in zip(cells, found.ids[0], found.modalities[0], shown):
            items = listed_items(self.contents.get(id_, f"{id_}"))
            _show(cell, [part for item in items for part in contents_of(item)])
            cell.spines[:].set(color=colors[modality], linewidth=3)
            mark, weight = (f"{RIGHT} ", "bold") if id_ in answers else ("", "normal")
            title = f"{mark}{modality} {value}"
            cell.set_title(title, fontsize="small", fontweight=weight)


def _show(cell, parts):
    """Draw the first picture and the first text into a cell."""
    cell.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal", facecolor="white")
    texts = [part for part in parts if isinstance(part, str)]
    pictures = [part for part in parts if not isinstance(part, str)]
    ceiling = 1.0
    if pictures:
        try:
            picture = read_picture(pictures[0], least_edge=EDGE)
            picture.thumbnail((EDGE, EDGE))
            ceiling = 0.38 if texts else 0.0
            width, height = np.array(picture.size) / max(picture.size) * (1 - ceiling)
            left, top = (1 - width) / 2, 1 - (1 - ceiling - height) / 2
            cell.imshow(picture, extent=(left, left + width, top - height, top))
            cell.set(xlim=(0, 1), ylim=(0, 1))
        except UnreadablePicture as cause:
            texts.insert(0, f"no picture: {cause}")
    if texts:
        n_lines = LINES if ceiling == 1 else 3
        lines = textwrap.wrap(writable(texts[0]), CHARACTERS, max_lines=n_lines, placeholder=" ...")
        text = "\n".join(lines)
        cell.text(0.05, ceiling - 0.04, text, fontsize=7, va="top", color=DARK, parse_math=False)
