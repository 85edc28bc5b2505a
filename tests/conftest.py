"""Settings of hypothesis, and the real embeddings."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples everywhere and no time limit: these run on slow, shared machines.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")

DATA = Path(os.environ.get("GAPREMOVAL_DATA", "../shared/data"))


@pytest.fixture(scope="session")
def real():
    """Read a file of real CLIP embeddings as a dict of arrays, or skip, saying so."""

    def read(name):
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{path} is absent; GAPREMOVAL_DATA names the folder of real embeddings")
        with np.load(path) as file:
            return dict(file)

    return read
