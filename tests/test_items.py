"""Query: what it holds, and what it refuses."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gapremoval import Joint, Query, Tagged, explode_documents

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
        (
            Query(text="a", image="a.jpg", weights={"image": 1, "text": 1}),
            "Query(text='a', image='a.jpg', weights={'text': 1.0, 'image': 1.0})",
        ),
        (Query(add="a"), "Query(add=['a'])"),
        (Query(add=("a", "b"), subtract="c"), "Query(add=['a', 'b'], subtract=['c'])"),
        (
            Query(add="a", subtract="c", weights=np.array([1, 0.5])),
            "Query(add=['a'], subtract=['c'], weights=[1.0, 0.5])",
        ),
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
    assert (query.add, query.subtract, query.weights) == ([], [], None)
    query = duplicate(Query(add=[Path("a.jpg"), "a"], subtract="b", weights=[2, 1, 0]))
    assert (query.add, query.subtract, query.weights) == ([Path("a.jpg"), "a"], ["b"], [2, 1, 0])
    weights = {"text": 0.8, "image": 0.2}
    assert duplicate(Query(text="a", image="a.jpg", weights=weights)).weights == weights


def test_a_combined_query_takes_one_part_or_several_of_any_kind():
    joint, tagged = Joint(text="a", image=picture), Tagged("a", "caption")
    for part in ("a", picture, Path("a.jpg"), joint, tagged):
        assert Query(add=part).add[0] is Query(add=[part, "b"]).add[0] is part
        assert Query(add="b", subtract=part).subtract[0] is part


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"add": []}, "is missing"),
        ({"subtract": "a"}, "is missing"),
        ({"weights": [1]}, "is missing"),
        ({"add": ["a", None]}, "add= of a Query takes"),
        ({"add": [5]}, "add= of a Query takes"),
        ({"add": "a", "subtract": [Query("b")]}, "without Query around"),
        ({"add": "a", "text": "b"}, "not both"),
        ({"item": "a", "add": "b"}, "not both"),
        ({"item": "a", "subtract": "b"}, "not both"),
        ({"item": "a", "weights": [1]}, "weights of a Query are for"),
    ],
)
def test_parts_that_make_no_query_are_refused(parts, reason):
    with pytest.raises(TypeError, match=reason):
        Query(**parts)


@pytest.mark.parametrize(
    "weights",
    [
        {"text": 1},
        {"text": 1, "image": 1, "audio": 1},
        [1, 1],
        {"text": -1, "image": 2},
        {"text": float("nan"), "image": 2},
        {"text": float("inf"), "image": 2},
        {"text": "1", "image": 2},
        {"text": 0, "image": 0},
    ],
)
def test_weights_that_do_not_fit_a_text_and_an_image_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        Query(text="a", image="a.jpg", weights=weights)


@pytest.mark.parametrize(
    "weights", [[1], [1, 1, 1], 1, "ab", {"text": 1, "image": 1}, [1, -1], [0, 1], [1, None]]
)
def test_weights_that_do_not_fit_two_parts_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        Query(add="a", subtract="b", weights=weights)


@pytest.mark.parametrize("address", ["https://a.com/b.png", "http://a.com/b.png", "s3://a/b.jpg"])
def test_an_address_is_never_taken_for_a_path(address):
    with pytest.raises(ValueError, match="is an address: download the picture"):
        Joint("a shoe", address)
    with pytest.raises(ValueError, match="is an address: download the picture"):
        explode_documents([{"text": "a shoe", "image": [address]}])


def test_a_query_of_a_query_is_refused():
    with pytest.raises(TypeError, match="is a Query already"):
        Query(Query("a"))


def test_a_query_that_an_older_version_pickled_is_a_plain_query():
    query = Query.__new__(Query)
    query.__setstate__((None, {"item": None, "text": "a", "image": "b.jpg"}))
    assert repr(query) == "Query(text='a', image='b.jpg')"
    assert (query.add, query.subtract, query.weights) == ([], [], None)


@pytest.mark.parametrize("item", [5, None, ["a"], b"a", Query("a"), Tagged("a", "b")])
def test_only_an_item_is_tagged(item):
    with pytest.raises(TypeError, match="Tagged marks a text, a picture or a Joint"):
        Tagged(item, "caption")
