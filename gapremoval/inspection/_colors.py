"""The colors and markers of modalities: the same in every figure and on every page."""

from .._modality import QUERY, is_query

# From Paul Tol's vibrant scheme, which color-blind people can tell apart. Images are lighter than
# texts in grey too.
COLORS = {"image": "#ee7733", "text": "#0077bb", "image+text": "#009988", "audio": "#ee3377"}
SPARE_COLORS = ("#33bbee", "#cc3311", "#aaaa00")
NEUTRAL, DARK = "#bbbbbb", "#333333"
MARKERS = {"image": "o", "text": "s", "image+text": "D", "audio": "^"}


def modality_colors(names):
    """The color of each modality; a query has the color of its modality.

    Parameters
    ----------
    names : iterable of str
        Modalities, such as ``"image"`` and ``"query:text"``.

    Returns
    -------
    dict of str to str
        Hexadecimal colors, in the order of `names`. Modalities that have no color of their own
        get the spare ones, in the order of their names.
    """
    names = [*dict.fromkeys(names)]
    others = sorted({name.removeprefix(QUERY) for name in names} - COLORS.keys())
    spare = {name: SPARE_COLORS[i % len(SPARE_COLORS)] for i, name in enumerate(others)}
    return {name: (COLORS | spare)[name.removeprefix(QUERY)] for name in names}


def modality_marker(name):
    """The marker of a modality in matplotlib; a cross for queries."""
    return "x" if is_query(name) else MARKERS.get(name, "v")
