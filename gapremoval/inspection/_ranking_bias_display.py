"""RankingBiasDisplay: which modality fills the top of rankings, and which answers are found."""

from collections.abc import Mapping

import numpy as np

from ..metrics import ranking_bias
from ._axes import panels
from ._colors import NEUTRAL

# Estimators, from Paul Tol's bright scheme; hatches tell them apart without colors.
BARS = (
    {"color": "#ee6677", "hatch": ""},
    {"color": "#228833", "hatch": "///"},
    {"color": "#4477aa", "hatch": "..."},
    {"color": "#ccbb44", "hatch": "xxx"},
    {"color": "#aa3377", "hatch": "\\\\\\"},
)
WIDTH = 0.84  # of all bars of a modality


class RankingBiasDisplay:
    """Share of each modality of the top documents, beside its share of the corpus.

    Without a bias both are about the same. With a modality gap, documents of the query's own
    modality fill the top. If relevance is given, a second panel shows NDCG by modality of the
    right answer: what the bias costs.

    Parameters
    ----------
    biases : dict of str to RankingBias
        The bias of each estimator by its name, from `gapremoval.metrics.ranking_bias`.
    k : int, default=10
        Length of the rankings.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes of the shares and, with relevance, those of NDCG.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    gapremoval.metrics.ranking_bias : Computes the numbers.

    Examples
    --------
    >>> from gapremoval import MixedModalityRetriever, make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import RankingBiasDisplay
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> pipelines = {"raw": MixedModalityRetriever(), "recommended": make_search_pipeline()}
    >>> for pipe in pipelines.values():
    ...     _ = pipe.fit(X[~is_query], y[~is_query])
    >>> display = RankingBiasDisplay.from_estimator(pipelines, X[is_query], y[is_query])
    >>> display.axes_.shape
    (2,)
    """

    def __init__(self, biases, *, k=10):
        self.biases = biases
        self.k = k

    @classmethod
    def from_estimator(cls, estimator, queries, relevance=None, *, k=10, modality=None, ax=None):
        """Search, and draw which modality fills the top.

        Parameters
        ----------
        estimator : fitted Pipeline, search object or retriever, or dict of str to these
            One estimator, or several that search the same corpus, by the names in the legend.
        queries : object
            Queries as `search` takes them.
        relevance : sequence of length n_queries, default=None
            The id of the document that answers each query, a collection of ids, or a dict id
            -> gain; None where it is unknown. None for all draws no NDCG.
        k : int, default=10
            Length of the rankings.
        modality : str or sequence of str, default=None
            Modality of vectors without tags, as for `search`.
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.

        Returns
        -------
        RankingBiasDisplay

        Raises
        ------
        ValueError
            If the dict is empty, or `ranking_bias` refuses the queries or their relevance.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        if not isinstance(estimator, Mapping):
            estimator = {f"top {k}": estimator}
        if not estimator:
            raise ValueError("estimator is an empty dict: give at least one.")
        asked = {"relevance": relevance, "k": k, "modality": modality}
        biases = {name: ranking_bias(each, queries, **asked) for name, each in estimator.items()}
        return cls(biases, k=k).plot(ax)

    def plot(self, ax=None):
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.

        Returns
        -------
        RankingBiasDisplay
            Itself.

        Raises
        ------
        ValueError
            If the number of axes is not that of the panels.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        first, *_ = self.biases.values()
        ndcg = {name: bias.ndcg for name, bias in self.biases.items() if bias.ndcg is not None}
        self.axes_ = panels(ax, 1 + bool(ndcg), size=(5, 3.8))
        self.figure_ = self.axes_[0].figure
        looks = dict(zip(self.biases, BARS * len(self.biases)))
        shares = {"share of the corpus": (first.share_of_corpus, {"color": NEUTRAL})}
        shares |= {name: (bias.share_of_top, looks[name]) for name, bias in self.biases.items()}
        _draw_bars(self.axes_[0], shares)
        self.axes_[0].set(title=f"share of the top {self.k}", xlabel="modality of the document")
        self.axes_[0].legend(
            frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1.08), ncols=3
        )
        if ndcg:
            _draw_bars(self.axes_[1], {name: (of, looks[name]) for name, of in ndcg.items()})
            self.axes_[1].set(title=f"NDCG@{self.k}", xlabel="modality of the right answer")
        return self


def _draw_bars(axes, values):
    """Groups of bars by modality, one bar for each name."""
    modalities = list(dict.fromkeys(x for of, _ in values.values() for x in of))
    width = WIDTH / len(values)
    for number, (name, (of, look)) in enumerate(values.items()):
        places = np.arange(len(modalities)) + (number - (len(values) - 1) / 2) * width
        heights = [of.get(modality, np.nan) for modality in modalities]
        look = {"edgecolor": "white", "linewidth": 0.5, "label": name} | look
        bars = axes.bar(places, heights, width, **look)
        axes.bar_label(bars, fmt="%.2f", fontsize="x-small", padding=1)
    axes.set_xticks(range(len(modalities)), modalities)
    axes.set_ylim(0, 1.05)
    axes.spines[["top", "right"]].set_visible(False)
