"""MilvusStore on real files of Milvus Lite."""

import itertools

import pytest
from store_contract import CONTRACT

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

from gapremoval.stores import MilvusStore


@pytest.fixture(scope="module")
def new_store(tmp_path_factory):
    """A function that returns a store with a name of its own, in one file."""
    uri, numbers = str(tmp_path_factory.mktemp("milvus") / "corpus.db"), itertools.count()
    yield lambda **params: MilvusStore(uri, f"documents_{next(numbers)}", **params)
    MilvusStore(uri).close()


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_milvus_satisfies_the_contract_of_stores(check, new_store):
    check(new_store)
