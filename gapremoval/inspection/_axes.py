"""Axes that displays draw into."""

import numpy as np

from .._optional import import_optional


def pyplot():
    """matplotlib.pyplot.

    Raises
    ------
    ImportError
        If matplotlib is not installed (extra ``plot``).
    """
    return import_optional("matplotlib.pyplot", extra="plot", purpose="Drawing a figure")


def one_axes(ax=None, figsize=None):
    """Axes that were given, or those of a new figure."""
    return pyplot().subplots(figsize=figsize, layout="constrained")[1] if ax is None else ax


def axes_grid(ax, n_rows, n_columns, size, *, each, **options):
    """A grid of axes.

    Parameters
    ----------
    ax : Axes, array of Axes or None
        As many as the grid has, or one that is divided. None makes a figure.
    n_rows, n_columns : int
        At least 1.
    size : (float, float)
        Width and height of each axes of a new figure, in inches.
    each : str
        What is drawn into the axes, in the plural, for messages.
    **options
        Passed to ``subplots``, where axes are made.

    Returns
    -------
    ndarray of Axes of shape (n_rows, n_columns)

    Raises
    ------
    ValueError
        If axes are given and their number is not that of the grid.
    """
    options["squeeze"] = False
    if ax is None:
        options |= {"figsize": (size[0] * n_columns, size[1] * n_rows), "layout": "constrained"}
        return pyplot().subplots(n_rows, n_columns, **options)[1]
    axes = np.array(ax, dtype=object)
    if axes.size == n_rows * n_columns:
        return axes.reshape(n_rows, n_columns)
    if axes.size > 1 or axes.item().get_subplotspec() is None:
        raise ValueError(
            f"There are {n_rows * n_columns} {each} to draw, and ax holds {axes.size} axes: give "
            "one for each, or one of plt.subplots() to be divided."
        )
    axes.item().set_axis_off()
    return axes.item().get_subplotspec().subgridspec(n_rows, n_columns).subplots(**options)


def panels(ax, n_panels, *, size=(4.2, 3.8), **options):
    """One axes for each panel, side by side: see `axes_grid`."""
    return axes_grid(ax, 1, n_panels, size, each="panels", **options)[0]
