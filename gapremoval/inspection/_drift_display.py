"""DriftDisplay: how far new rows lie from the means that were fitted, batch by batch."""

from collections.abc import Mapping

import numpy as np

from .._embeddings import EmbeddingArray
from ..calibration import ModalityGapRemover, drift
from ._axes import one_axes
from ._colors import DARK, modality_colors, modality_marker


class DriftDisplay:
    """Drift of new rows from the fitted means, batch by batch.

    A fitted remover keeps its means while a corpus grows. Drift is about 1 by chance, and far
    larger if new rows come from elsewhere: then fit again.

    Parameters
    ----------
    batches : sequence of str of shape (n_batches,)
        Names of the batches.
    drifts : dict of str to ndarray of float of shape (n_batches,)
        The drift of each modality, NaN in batches without it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.
    lines_ : dict of str to matplotlib Line2D
        The line of each modality.

    See Also
    --------
    gapremoval.calibration.drift : Computes the numbers of one batch.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import DriftDisplay
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> elsewhere, _ = make_mixed_modality(200, random_state=1)
    >>> remover = ModalityGapRemover().fit(X[::2])
    >>> batches = {"Monday": X[1::2], "Tuesday": elsewhere}
    >>> display = DriftDisplay.from_estimator(remover, batches)
    >>> display.drifts["image"].round(1)
    array([ 1.1, 10.2])
    """

    def __init__(self, batches, drifts):
        self.batches = batches
        self.drifts = drifts

    @classmethod
    def from_estimator(cls, estimator, batches, *, ax=None, **kwargs):
        """Compute and draw the drift of batches.

        Parameters
        ----------
        estimator : fitted ModalityGapRemover
            The remover, such as ``pipe[0]`` of a pipeline.
        batches : EmbeddingArray, sequence of these, or dict of str to EmbeddingArray
            New rows, uncorrected, in the order of time. The batches of a sequence are numbered
            from 1; a single EmbeddingArray is one batch.
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        **kwargs
            Passed to ``Axes.plot``.

        Returns
        -------
        DriftDisplay

        Raises
        ------
        TypeError
            If `estimator` is no ModalityGapRemover.
        NotFittedError
            If it is not fitted.
        ValueError
            If there is no batch, or one is not as ``transform`` takes it.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        if not isinstance(estimator, ModalityGapRemover):
            raise TypeError(
                "Drift is that of the means of a fitted ModalityGapRemover, such as pipe[0] of a "
                f"pipeline; got a {type(estimator).__name__}."
            )
        if isinstance(batches, EmbeddingArray):
            batches = [batches]
        if not isinstance(batches, Mapping):
            batches = {str(number): batch for number, batch in enumerate(batches, start=1)}
        if not batches:
            raise ValueError("There is no batch: give at least one EmbeddingArray.")
        found = [drift(estimator, batch) for batch in batches.values()]
        names = dict.fromkeys(name for drifts in found for name in drifts)
        drifts = {name: np.array([of.get(name, np.nan) for of in found]) for name in names}
        return cls([*batches], drifts).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw a line for each modality, and one at 1.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            By default those of a new figure.
        **kwargs
            Passed to ``Axes.plot``.

        Returns
        -------
        DriftDisplay
            Itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        self.ax_ = one_axes(ax)
        self.figure_, self.lines_ = self.ax_.figure, {}
        places = range(len(self.batches))
        for name, color in modality_colors(self.drifts).items():
            label = f"{name} (not fitted)" if np.isnan(self.drifts[name]).all() else name
            style = {"color": color, "marker": modality_marker(name), "label": label} | kwargs
            (self.lines_[name],) = self.ax_.plot(places, self.drifts[name], **style)
        self.ax_.axhline(1, color=DARK, linestyle=":", label="by chance")
        self.ax_.set_xticks(places, self.batches)
        self.ax_.margins(0.1)
        self.ax_.set(xlabel="batch", ylabel="drift, in standard errors", ylim=(0, None))
        self.ax_.legend(frameon=False)
        return self
