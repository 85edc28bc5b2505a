"""FusionWeightDisplay: the curve of a search over fusion weights."""

from numbers import Real

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._axes import one_axes


class FusionWeightDisplay:
    """The score of each fusion weight: mean and spread over the folds, the best one marked.

    Draw several curves into one figure by giving the axes of the first to the next.

    Parameters
    ----------
    weights : ndarray of float of shape (n_weights,)
        The weights, ascending.
    mean : ndarray of float of shape (n_weights,)
        The mean score of each over the folds.
    spread : ndarray of float of shape (n_weights,)
        The standard deviation over the folds.
    best : int
        Position of the best weight.
    metric : str, default="score"
        Name of the score.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.
    line_ : matplotlib Line2D
        The curve.
    best_line_ : matplotlib Line2D
        The mark of the best weight.

    See Also
    --------
    gapremoval.FusionWeightSearchCV : Searches for the best weight.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import FusionWeightSearchCV, MixedModalityRetriever
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import FusionWeightDisplay
    >>> X, y = make_mixed_modality(90, random_state=0)
    >>> search = FusionWeightSearchCV(MixedModalityRetriever(), [0, 0.5, 1]).fit(X, y)
    >>> display = FusionWeightDisplay.from_estimator(search, name="raw")
    >>> display.line_.get_xdata()
    array([0. , 0.5, 1. ])
    """

    def __init__(self, weights, mean, spread, best, *, metric="score", name=None):
        self.weights = weights
        self.mean = mean
        self.spread = spread
        self.best = best
        self.metric = metric
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw the curve of a fitted search.

        Parameters
        ----------
        estimator : fitted FusionWeightSearchCV or GridSearchCV
            The search, over numbers as ``fusion_weight`` and no other parameter.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        **kwargs
            Passed to ``Axes.plot``, such as ``color``.

        Returns
        -------
        FusionWeightDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError
            If it has searched other parameters too, or weights that are dicts.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        check_is_fitted(estimator, "cv_results_")
        results = estimator.cv_results_
        searched = sorted({name for params in results["params"] for name in params})
        if len(searched) != 1 or not searched[0].endswith("fusion_weight"):
            raise ValueError(
                "A FusionWeightDisplay draws a search over fusion_weight alone; this one is over "
                f"{', '.join(searched)}."
            )
        weights = [params[searched[0]] for params in results["params"]]
        if not all(isinstance(weight, Real) for weight in weights):
            raise ValueError(
                "Weights that are dicts have no place on an axis: draw a search over numbers, the "
                "weights of the text."
            )
        if "mean_test_score" not in results:
            raise ValueError("This search has several scores: refit it with one as scoring.")
        order = np.argsort(weights, kind="stable")
        metric = "NDCG@10" if estimator.scoring is None else "score"
        display = cls(
            np.array(weights, dtype=float)[order],
            results["mean_test_score"][order],
            results["std_test_score"][order],
            int(np.flatnonzero(order == results["rank_test_score"].argmin())[0]),
            metric=getattr(estimator.scoring, "metric", metric),
            name=name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, *, name=None, **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        name : str, default=None
            Name of the curve in the legend; by default that of the constructor.
        **kwargs
            Passed to ``Axes.plot``, such as ``color``.

        Returns
        -------
        FusionWeightDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        self.ax_ = one_axes(ax)
        self.figure_ = self.ax_.figure
        name = self.name if name is None else name
        # Each further curve has another marker, to be told apart without colors.
        marker = "os^Dv"[len(self.ax_.lines) // 2 % 5]
        (self.line_,) = self.ax_.plot(
            self.weights, self.mean, **{"marker": marker, "markersize": 4, "label": name} | kwargs
        )
        low, high = self.mean - self.spread, self.mean + self.spread
        color = self.line_.get_color()
        self.ax_.fill_between(self.weights, low, high, color=color, alpha=0.15, linewidth=0)
        weight, score = self.weights[self.best], self.mean[self.best]
        (self.best_line_,) = self.ax_.plot(
            weight, score, "*", markersize=13, color=color, markeredgecolor="white"
        )
        self.ax_.annotate(
            f"{score:.2f} at {weight:g}",
            (weight, score),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
        )
        self.ax_.margins(y=0.25)  # room for the label
        self.ax_.set(xlabel="fusion weight", ylabel=f"{self.metric}, mean of the folds")
        if name is not None:
            self.ax_.legend(frameon=False)
        return self
