"""embeddings_html: the view of an EmbeddingArray in a notebook."""

import numpy as np

from ._array_api import is_lazy, row_lengths, take_rows, to_numpy
from ._html import html_templates

MOST_MODALITIES = 50  # shown
MOST_ROWS = 1000  # measured, of a modality


def embeddings_html(values, tags):
    """Show the modalities of rows as a table: how many rows, and how long they are.

    The work does not grow with the number of features, nor much with that of rows: of each
    modality at most a thousand rows, evenly spaced, are measured, and none of a Dask array.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)
    tags : Tags

    Returns
    -------
    str
        A piece of HTML whose colors are those of the notebook.

    Raises
    ------
    ImportError
        If jinja2 is not installed.
    """
    template = html_templates("gapremoval").get_template("embedding_array.html")
    counts = tags.counts()
    rows = [
        {"modality": name, "n_rows": n, "lengths": _lengths(values, tags, name)}
        for name, n in list(counts.items())[:MOST_MODALITIES]
    ]
    library = type(values).__module__.partition(".")[0]
    device = getattr(values, "device", "cpu")
    facts = [str(values.dtype).split(".")[-1], library if str(device) == "cpu" else str(device)]
    if tags.origin is not None:
        facts.append(f"encoder {tags.origin}")
    return template.render(
        n_rows=len(tags),
        n_features=values.shape[1],
        facts=facts,
        rows=rows,
        n_more=max(len(counts) - MOST_MODALITIES, 0),
        is_sampled=max(counts.values(), default=0) > MOST_ROWS,
        most_rows=MOST_ROWS,
    )


def _lengths(values, tags, name):
    """The range of the lengths of some rows of a modality, in words."""
    if is_lazy(values):
        return "not computed"
    at = np.flatnonzero(tags.codes == tags.names.index(name))
    some = at[np.linspace(0, len(at) - 1, min(len(at), MOST_ROWS)).astype(int)]
    lengths = row_lengths(to_numpy(take_rows(values, some)).astype(float))
    shortest, longest = f"{lengths.min():.4g}", f"{lengths.max():.4g}"
    return shortest if shortest == longest else f"{shortest} to {longest}"
