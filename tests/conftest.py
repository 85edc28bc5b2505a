"""Settings of hypothesis, the real embeddings, and a browser."""

import pytest
from browser import browser, open_page
from hypothesis import settings
from real_data import load_real

# Doctests are looked for in all modules, and there are several of this name.
collect_ignore = ["conftest.py"]

# The same examples everywhere and no time limit: these run on slow, shared machines.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")


# What tests find here by its name.
__all__ = ["browser", "open_page"]


@pytest.fixture(scope="session")
def real():
    """Read a file of real CLIP embeddings as a dict of arrays, or skip, saying so."""

    def read(name):
        try:
            return load_real(name)
        except FileNotFoundError as absent:
            pytest.skip(str(absent))

    return read
