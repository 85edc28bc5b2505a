"""ReliabilityDisplay: the probabilities of a search against its accuracy."""

import numpy as np
from sklearn.calibration import CalibrationDisplay, calibration_curve

from .._relevance import check_relevance, check_y
from .._search import search
from ..metrics import expected_calibration_error
from ._axes import one_axes


class ReliabilityDisplay(CalibrationDisplay):
    """Reliability of a search: the probability of the top document against its accuracy.

    On the diagonal probabilities mean what they say: of the queries whose top document has a
    probability of .8, it is right for 80 %.

    Parameters
    ----------
    prob_true : ndarray of float of shape (n_bins,)
        Share of the top documents that are right, by bin.
    prob_pred : ndarray of float of shape (n_bins,)
        Their mean probability, by bin.
    y_prob : ndarray of float of shape (n_queries,)
        The probability of the top document of each query.
    estimator_name : str, default=None
        Name in the legend.
    error : float, default=None
        The expected calibration error, shown in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    gapremoval.metrics.expected_calibration_error : The number in the legend.
    sklearn.calibration.CalibrationDisplay : The same for classifiers.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import ReliabilityDisplay
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> is_query = X.modality == "query:text"
    >>> pipe = make_search_pipeline().fit(X[~is_query], y[~is_query])
    >>> queries, relevance = X[is_query], y[is_query]
    >>> display = ReliabilityDisplay.from_estimator(pipe, queries, relevance, name="odds")
    >>> display.line_.get_label()
    'odds (ECE 0.07)'
    """

    def __init__(self, prob_true, prob_pred, y_prob, *, estimator_name=None, error=None):
        super().__init__(prob_true, prob_pred, y_prob, estimator_name=estimator_name)
        self.error = error

    @classmethod
    def from_estimator(cls, estimator, queries, relevance, *, modality=None, **kwargs):
        """Search, and draw the reliability of the probabilities.

        Parameters
        ----------
        estimator : fitted Pipeline, search object or retriever
            One that gives probabilities, such as `make_search_pipeline`.
        queries : object
            Queries as `search` takes them, which the estimator has not learned from.
        relevance : sequence of length n_queries
            The id of the document that answers each query, a collection of ids, or a dict id
            -> gain. Queries with None are left out.
        modality : str or sequence of str, default=None
            Modality of vectors without tags, as for `search`.
        **kwargs
            As for `from_predictions`: `n_bins`, `strategy`, `name`, `ax`, `ref_line`, and what
            ``Axes.plot`` takes.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If the search gives no probabilities, or no query has a known relevance.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        found = search(estimator, queries, 1, modality=modality)
        if found.probabilities is None:
            raise ValueError(
                "This search gives no probabilities: its retriever needs a score calibration that "
                "estimates them, as make_search_pipeline() has."
            )
        gains = check_relevance(check_y(relevance, len(found), "relevance"))
        known = [i for i, answers in enumerate(gains) if answers is not None]
        y_true = np.array([gains[i].get(found.ids[i, 0], 0) > 0 for i in known], dtype=bool)
        return cls.from_predictions(y_true, found.probabilities[known, 0], **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_prob,
        *,
        n_bins=10,
        strategy="quantile",
        name=None,
        ax=None,
        ref_line=True,
        **kwargs,
    ):
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : array-like of bool of shape (n_queries,)
            Whether the top document of each query is right, such as
            ``found.ids[:, 0] == answers``.
        y_prob : array-like of float of shape (n_queries,)
            Its probability, such as ``found.probabilities[:, 0]``.
        n_bins : int, default=10
            Number of bins, at least 1.
        strategy : {"quantile", "uniform"}, default="quantile"
            Bins of equal size, or of equal width.
        name : str, default=None
            Name in the legend.
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        ref_line : bool, default=True
            Whether to draw the diagonal.
        **kwargs
            Passed to ``Axes.plot``.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If there is no query, lengths differ, or a probability is NaN or outside [0, 1].
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        y_true, y_prob = np.asarray(y_true), np.asarray(y_prob)
        if not len(y_true):
            raise ValueError("No query has a known relevance: give at least one that has.")
        error = expected_calibration_error(y_true, y_prob, n_bins=n_bins, strategy=strategy)
        curve = calibration_curve(y_true, y_prob, pos_label=1, n_bins=n_bins, strategy=strategy)
        display = cls(*curve, y_prob, estimator_name=name, error=error)
        return display.plot(ax=ax, ref_line=ref_line, **kwargs)

    def plot(self, *, ax=None, name=None, ref_line=True, **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        name : str, default=None
            Name in the legend; by default `estimator_name`.
        ref_line : bool, default=True
            Whether to draw the diagonal.
        **kwargs
            Passed to ``Axes.plot``.

        Returns
        -------
        ReliabilityDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        name = self.estimator_name if name is None else name
        if self.error is not None:
            name = f"{name or 'probabilities'} (ECE {self.error:.2f})"
        super().plot(ax=one_axes(ax), name=name, ref_line=ref_line, **kwargs)
        self.ax_.set(
            xlabel="probability of the top document", ylabel="share of queries that it answers"
        )
        return self
