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


def several_axes(ax, n_panels, *, size=(4.2, 3.8), **options):
    """One axes for each panel, side by side.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        A single one is divided if there are several panels. None makes a figure.
    n_panels : int
        At least 1.
    size : (float, float), default=(4.2, 3.8)
        Width and height of a panel of a new figure, in inches.
    **options
        Passed to ``subplots``, where axes are made.

    Returns
    -------
    ndarray of Axes of shape (n_panels,)

    Raises
    ------
    ValueError
        If axes are given and their number is not that of the panels.
    """
    if ax is None:
        figsize = (size[0] * n_panels, size[1])
        options |= {"figsize": figsize, "layout": "constrained", "squeeze": False}
        return pyplot().subplots(1, n_panels, **options)[1][0]
    axes = np.ravel(np.array(ax, dtype=object))
    if len(axes) == n_panels:
        return axes
    if len(axes) > 1 or axes[0].get_subplotspec() is None:
        raise ValueError(
            f"There are {n_panels} panels to draw, and ax holds {len(axes)} axes: give one "
            "for each panel, or one of plt.subplots() to be divided."
        )
    axes[0].set_axis_off()
    grid = axes[0].get_subplotspec().subgridspec(1, n_panels)
    return grid.subplots(squeeze=False, **options)[0]
