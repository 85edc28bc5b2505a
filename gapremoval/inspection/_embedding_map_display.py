"""EmbeddingMapDisplay: embeddings in two dimensions, colored by modality."""

from functools import partial

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils import check_random_state

from .._modality import is_query
from .._optional import import_optional
from ..metrics._rows import draw
from ._axes import panels
from ._colors import modality_colors, modality_marker
from ._rows import RAW, before_and_after, read_versions

AXES = {"pca": "principal component", "umap": "UMAP dimension"}


class EmbeddingMapDisplay:
    """Embeddings in two dimensions, colored by modality.

    With a modality gap, images and texts are separate clouds. Use `from_estimator` for the map
    before and after a correction, or `from_embeddings` for any rows.

    Parameters
    ----------
    coordinates : dict of str to ndarray of shape (n_shown, 2)
        The rows in two dimensions; one entry, and one panel, for each version of them.
    modality : array of str of shape (n_shown,)
        Their modalities.
    n_rows : int, default=None
        Number of rows that these were drawn from; by default `n_shown`.
    method : {"pca", "umap"}, default="pca"
        How the coordinates were computed.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes of each panel.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    CosineDisplay : Shows distances in all dimensions.

    Examples
    --------
    >>> from gapremoval import ModalityGapRemover
    >>> from gapremoval.datasets import make_mixed_modality
    >>> from gapremoval.inspection import EmbeddingMapDisplay
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> remover = ModalityGapRemover().fit(X)
    >>> display = EmbeddingMapDisplay.from_estimator(remover, X)
    >>> [ax.get_title() for ax in display.axes_]
    ['raw embeddings', 'after ModalityGapRemover']
    """

    def __init__(self, coordinates, modality, *, n_rows=None, method="pca"):
        self.coordinates = coordinates
        self.modality = modality
        self.n_rows = n_rows
        self.method = method

    @classmethod
    def from_embeddings(
        cls, X, *, modality=None, method="pca", max_rows=1000, random_state=0, ax=None, **kwargs
    ):
        """Compute and draw the map of tagged rows.

        Parameters
        ----------
        X : EmbeddingArray, array of shape (n_rows, n_features), or dict of str to these
            The rows, scaled to unit length here. A dict has several versions of the same rows,
            such as before and after a correction; each is a panel with its name as title.
        modality : str or sequence of str, default=None
            Their modalities, where `X` does not carry them.
        method : {"pca", "umap"}, default="pca"
            The first two principal components, or UMAP by cosine distance, which shows groups
            of similar items but no distances between them.
        max_rows : int, default=1000
            Largest number of rows shown of each modality. If there are more, a sample is drawn,
            and the title says so.
        random_state : int, RandomState instance or None, default=0
            Seed of the sample, and of UMAP.
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.
        **kwargs
            Passed to ``Axes.scatter``.

        Returns
        -------
        EmbeddingMapDisplay

        Raises
        ------
        ValueError
            If the modalities are not known, or `method` is.
        ImportError
            If matplotlib (extra ``plot``) or UMAP (extra ``umap``) is not installed.
        """
        versions, modality = read_versions(X, modality)
        random, first = check_random_state(random_state), next(iter(versions.values()))
        rows = np.concatenate([draw(at, max_rows, random) for at in first.positions.values()])
        flatten = _reduction(method, random_state)
        display = cls(
            {name: flatten(version.unit(rows)) for name, version in versions.items()},
            modality[rows],
            n_rows=len(modality),
            method=method,
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator, X, *, modality=None, **kwargs):
        """Draw the map of rows before and after the steps of a pipeline.

        Parameters
        ----------
        estimator : fitted Pipeline, search object or transformer
            A last step that searches, such as a retriever, is left out.
        X : EmbeddingArray, array of shape (n_rows, n_features) or list of items
            Rows or, for a pipeline that begins with an encoder, texts and pictures. The rows
            before are then those of the encoder.
        modality : str or sequence of str, default=None
            Modalities of the rows, where `X` does not carry them.
        **kwargs
            As for `from_embeddings`: `method`, `max_rows`, `random_state`, `ax`, and what
            ``Axes.scatter`` takes.

        Returns
        -------
        EmbeddingMapDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, ImportError
            As for `from_embeddings`.
        """
        return cls.from_embeddings(before_and_after(estimator, X, modality), **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            One for each panel, or one to be divided. By default those of a new figure.
        **kwargs
            Passed to ``Axes.scatter``.

        Returns
        -------
        EmbeddingMapDisplay
            Itself.

        Raises
        ------
        ValueError
            If the number of axes is not that of the panels.
        ImportError
            If matplotlib is not installed (extra ``plot``).
        """
        self.axes_ = panels(ax, len(self.coordinates))
        self.figure_ = self.axes_[0].figure
        modality = np.asarray(self.modality)
        n_rows, n_shown = self.n_rows or len(modality), len(modality)
        sampled = f"\n{n_shown:,} of {n_rows:,} rows" if n_shown < n_rows else ""
        # Queries last, since thin crosses hide little.
        names = sorted(dict.fromkeys(modality.tolist()), key=is_query)
        style = {"s": 16, "alpha": 0.6} | kwargs
        for axes, (title, points) in zip(self.axes_, self.coordinates.items()):
            for name, color in modality_colors(names).items():
                width = {"linewidths": 1} if is_query(name) else {"linewidths": 0}
                look = {"color": color, "marker": modality_marker(name), "label": name} | width
                axes.scatter(*points[modality == name].T, **(look | style))
            shown = "" if title == RAW and len(self.coordinates) == 1 else title
            axes.set(
                title=f"{shown}{sampled}".strip(),
                xlabel=f"first {AXES[self.method]}",
                ylabel=f"second {AXES[self.method]}",
                aspect="equal",
                adjustable="datalim",
            )
        self.axes_[0].legend(frameon=False)
        return self


def _reduction(method, random_state):
    """A function from rows of shape (n, n_features) to shape (n, 2)."""
    if method == "pca":
        return partial(_principal_components, random_state=random_state)
    if method == "umap":
        umap = import_optional("umap", extra="umap", purpose="A map by UMAP")
        return umap.UMAP(metric="cosine", random_state=random_state, n_jobs=1).fit_transform
    raise ValueError(f"method must be 'pca' or 'umap'; got {method!r}.")


def _principal_components(rows, random_state):
    """The first two principal components; 0 where rows, or what differs in them, have fewer."""
    # Of a single row, or of equal ones, PCA divides the variances by zero, which are not used.
    with np.errstate(divide="ignore", invalid="ignore"):
        points = PCA(min(2, *rows.shape), random_state=random_state).fit_transform(rows)
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
