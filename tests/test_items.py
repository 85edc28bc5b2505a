"""Query: what it holds, and what it refuses."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gapremoval import Query

MISSING = [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT]
picture = np.zeros((4, 5, 3), dtype=np.uint8)


def test_a_query_holds_an_item_or_named_parts():
    query = Query("a red bicycle")
    assert (query.item, query.text, query.image) == ("a red bicycle", None, None)
    query = Query(text="the same in blue", image=picture)
    assert (query.item, query.text) == (None, "the same in blue")
    assert query.image is picture
    assert Query(picture).item is picture


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (Query("a"), "Query('a')"),
        (Query(text="a"), "Query(text='a')"),
        (Query(image="a.jpg"), "Query(image='a.jpg')"),
        (Query(text="a", image="a.jpg"), "Query(text='a', image='a.jpg')"),
    ],
)
def test_a_query_shows_what_it_was_made_of(query, shown):
    assert repr(query) == shown


@pytest.mark.parametrize("absent", MISSING)
def test_a_query_of_a_missing_item_is_refused(absent):
    for given_parts in ({"item": absent}, {"text": absent}, {"text": absent, "image": absent}):
        with pytest.raises(TypeError, match="item of a Query is missing"):
            Query(**given_parts)
    with pytest.raises(TypeError, match="item of a Query is missing"):
        Query()


@pytest.mark.parametrize("absent", MISSING)
def test_a_missing_part_beside_another_is_not_there(absent):
    query = Query(text="a", image=absent)
    assert (query.item, query.text, query.image) == (None, "a", None)
    assert repr(query) == "Query(text='a')"
    assert Query("a", image=absent).item == "a"


@pytest.mark.parametrize("parts", [{"text": "b"}, {"image": "b.jpg"}, {"text": "b", "image": "b"}])
def test_a_query_takes_no_item_beside_named_parts(parts):
    with pytest.raises(TypeError, match="not both"):
        Query("a", **parts)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda query: pickle.loads(pickle.dumps(query))]
)
def test_a_copy_of_a_query_holds_the_same(duplicate):
    query = duplicate(Query(text="a", image=Path("a.jpg")))
    assert (query.item, query.text, query.image) == (None, "a", Path("a.jpg"))
