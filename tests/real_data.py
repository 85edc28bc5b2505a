"""The one reader of the real CLIP embeddings that tests and benchmarks measure on."""

import os
from pathlib import Path

import numpy as np

DEFAULT = Path(__file__).parent.parent / "../shared/data"


def load_real(name):
    """Read a file of real embeddings from the folder that GAPREMOVAL_DATA names.

    Returns
    -------
    dict of str to ndarray of float32
        Such as ``text`` (n, d) or (n, k, d), ``image`` (n, d), ``extra`` (m, d).

    Raises
    ------
    FileNotFoundError
        If the folder does not hold the file; the message says what to set.
    """
    path = Path(os.environ.get("GAPREMOVAL_DATA", DEFAULT)) / name
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is absent: set GAPREMOVAL_DATA to the folder of the real embeddings."
        )
    with np.load(path) as file:
        return dict(file)
