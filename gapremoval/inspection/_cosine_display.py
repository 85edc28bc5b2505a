"""CosineDisplay: how cosines are distributed, by pair of modalities."""

from itertools import combinations_with_replacement, product

import numpy as np
from sklearn.utils import check_random_state

from .._modality import QUERY, is_query
from .._relevance import check_ids, check_known, check_relevance, check_y, relevant_ids
from ..metrics._rows import draw
from ._axes import panels
from ._colors import DARK, NEUTRAL, modality_colors
from ._rows import RAW, before_and_after, read_versions

MOST_RIGHT = 20_000  # pairs that are drawn
HEIGHT = 0.85  # of a distribution; lines are 1 apart
OUTLINE = {"color": DARK, "linewidth": 1.5}


class CosineDisplay:
    """Distributions of cosines, by pair of modalities, right answers apart.

    A search ranks by cosines. With a modality gap, a text is closer to any text than to the
    image it describes: the right answers across modalities lie below all cosines within one.

    Parameters
    ----------
    cosines : dict of str to dict of (str, str) to ndarray of shape (n_pairs,)
        For each version of the rows the cosines of each pair of modalities. Each version is a
        panel.
    right_cosines : dict of str to dict of (str, str) to ndarray, default=None
        The same for right answers: rows of one document, and queries with what answers them.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes of each panel.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    EmbeddingMapDisplay : Draws the rows in two dimensions.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import CosineDisplay
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> display = CosineDisplay.from_estimator(pipe, X, y)
    >>> for label in display.axes_[0].get_yticklabels():
    ...     print(label.get_text())
    text, text
    text, image
    image, image
    query:text, text
    query:text, image
    """

    def __init__(self, cosines, right_cosines=None):
        self.cosines = cosines
        self.right_cosines = right_cosines

    @classmethod
    def from_embeddings(
        cls, X, y=None, *, modality=None, max_rows=500, random_state=0, ax=None, **kwargs
    ):
        """Compute and draw the cosines of tagged rows.

        Parameters
        ----------
        X : EmbeddingArray, array of shape (n_rows, n_features), or dict of str to these
            The rows. A dict has several versions of the same rows, such as before and after a
            correction; each is a panel with its name as title.
        y : sequence of length n_rows, default=None
            The id of each document row, and the relevance of each query row, as for ``fit`` of
            a retriever. Rows that share an id, and queries with what answers them, are right
            answers. None shows no right answers.
        modality : str or sequence of str, default=None
            The rows' modalities, where `X` does not carry them.
        max_rows : int, default=500
            Largest number of rows of each modality whose cosines are computed; of more, a
            sample is drawn. Right answers are those among all rows; of more than 20,000 of a
            pair of modalities, a sample is shown.
        random_state : int, RandomState instance or None, default=0
            Seed of the samples.
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.
        **kwargs
            As for `plot`.

        Returns
        -------
        CosineDisplay

        Raises
        ------
        ValueError
            If the modalities are not known, no row is a document, or `y` names documents that
            are not among the rows.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        versions, _ = read_versions(X, modality)
        random, first = check_random_state(random_state), next(iter(versions.values()))
        names = _in_order(first.positions)
        rows = {name: draw(first.positions[name], max_rows, random) for name in names}
        documents = [name for name in names if not is_query(name)]
        if not documents:
            raise ValueError(
                "No row is a document, and cosines are those of documents with documents and with "
                "queries: give the rows of some documents too."
            )
        pairs = [*combinations_with_replacement(documents, 2)]
        pairs += product([name for name in names if is_query(name)], documents)
        answers = None
        if y is not None:
            _check_answers(first.tags, y)
            answers = first.id_matrix(y, names)
        cosines, of_right = {name: {} for name in versions}, {name: {} for name in versions}
        for pair in pairs:
            a, b = (rows[name] for name in pair)
            is_other = _other_pairs(a, b, answers)
            for name, version in versions.items():
                products = version.unit(a) @ version.unit(b).T
                cosines[name][pair] = products[is_other]
            if answers is None:
                continue
            a, b = _right_pairs(*(first.positions[name] for name in pair), answers, random)
            for name, version in versions.items():
                products = version.unit(a) * version.unit(b)
                of_right[name][pair] = products.sum(axis=1)
        return cls(cosines, of_right).plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, modality=None, **kwargs):
        """Draw the cosines of rows before and after the steps of a pipeline.

        Parameters
        ----------
        estimator : fitted Pipeline, search object or transformer
            A last step that searches, such as a retriever, is left out.
        X : EmbeddingArray, array of shape (n_rows, n_features) or list of items
            Rows or, for a pipeline that begins with an encoder, texts and pictures. The rows
            before are then those of the encoder.
        y : sequence of length n_rows, default=None
            Ids and relevance, as for `from_embeddings`.
        modality : str or sequence of str, default=None
            Modalities of the rows, where `X` does not carry them.
        **kwargs
            As for `from_embeddings`: `max_rows`, `random_state`, `ax` and `bins`.

        Returns
        -------
        CosineDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, ImportError
            As for `from_embeddings`.
        """
        return cls.from_embeddings(before_and_after(estimator, X, modality), y, **kwargs)

    def plot(self, ax=None, *, bins=40):
        """Draw the distributions, a line for each pair of modalities.

        Each distribution is scaled to the height of its line.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.
        bins : int, default=40
            Number of bins of a panel.

        Returns
        -------
        CosineDisplay
            Itself.

        Raises
        ------
        ValueError
            If the number of axes is not that of the panels.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        pairs = [*next(iter(self.cosines.values()))]
        size = (4.6, 1.2 + 0.7 * len(pairs))
        self.axes_ = panels(ax, len(self.cosines), size=size, sharey=True)
        self.figure_ = self.axes_[0].figure
        for axes, (title, cosines) in zip(self.axes_, self.cosines.items()):
            right = (self.right_cosines or {}).get(title, {})
            every = np.concatenate([*cosines.values(), *right.values()])
            edges = np.histogram_bin_edges(every, bins)
            for place, pair in enumerate(pairs):
                shapes = [(cosines[pair], _fill(pair)), (right.get(pair, []), OUTLINE)]
                _draw_line(axes, len(pairs) - 1 - place, edges, shapes)
            axes.set_yticks(range(len(pairs))[::-1], [", ".join(pair) for pair in pairs])
            axes.tick_params("y", length=0)
            axes.spines[["left", "top", "right"]].set_visible(False)
            shown = "" if title == RAW and len(self.cosines) == 1 else title
            axes.set(xlabel="cosine", title=shown, ylim=(-0.05, len(pairs)))
        if any(map(len, right.values())):
            self.axes_[-1].stairs([np.nan], [0, 1], label="right answers", **OUTLINE)
            self.axes_[-1].set_ylim(top=len(pairs) + 0.5)  # above the distributions
            self.axes_[-1].legend(frameon=False, loc="upper right", borderaxespad=0)
        return self


def _fill(pair):
    """Pairs within a modality have its color, pairs across are grey."""
    first, second = (name.removeprefix(QUERY) for name in pair)
    color = modality_colors(pair)[pair[1]] if first == second else NEUTRAL
    return {"fill": True, "color": color, "alpha": 0.7}


def _draw_line(axes, floor, edges, shapes):
    """Distributions on a floor, each as high as a line."""
    for values, style in shapes:
        if len(values):
            counts, _ = np.histogram(values, edges)
            axes.stairs(floor + HEIGHT * counts / counts.max(), edges, baseline=floor, **style)


def _in_order(names):
    """Texts, images, then the others; documents before queries."""
    order = {name: place for place, name in enumerate(["text", "image"])}
    return sorted(names, key=lambda name: (is_query(name), order.get(name, 2), name))


def _check_answers(tags, y):
    """Raise a ValueError unless `y` has the id of each document, and queries name such ids."""
    y, is_query = check_y(y, len(tags)), tags.is_query
    ids = check_ids(y[~is_query], np.flatnonzero(~is_query))
    relevance = check_relevance(y[is_query])
    check_known((x for gains in relevance for x in relevant_ids(gains)), ids, what="relevance")


def _other_pairs(first, second, answers):
    """A mask of the pairs of rows that are no right answers, each pair once."""
    is_other = np.ones((len(first), len(second)), dtype=bool)
    if answers is not None:
        is_other = (answers[first] @ answers[second].T).toarray() == 0
    return np.triu(is_other, 1) if first is second else is_other


def _right_pairs(first, second, answers, random):
    """Row numbers of right answers, a sample if there are many."""
    at = (answers[first] @ answers[second].T).nonzero()
    a, b = first[at[0]], second[at[1]]
    if first is second:
        a, b = a[a < b], b[a < b]
    drawn = draw(np.arange(len(a)), MOST_RIGHT, random)
    return a[drawn], b[drawn]
