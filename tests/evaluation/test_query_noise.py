import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval import EmbeddingArray, Joint, Query, Tagged
from gapremoval.evaluation import noisy_queries

words = st.lists(st.text("abcxyz", min_size=1, max_size=6), min_size=1, max_size=8)


@given(words, st.floats(0, 1), st.integers(0, 99))
def test_some_words_remain_and_most_are_as_they_were(text, amount, seed):
    (noisy,) = noisy_queries([Query(" ".join(text))], amount, random_state=seed)
    got = noisy.item.split()
    assert 1 <= len(got) <= len(text)
    if amount == 0:
        assert got == text


def test_half_of_the_amount_is_dropped_and_half_is_mistyped():
    text = [f"word{i:05d}" for i in range(4000)]
    (noisy,) = noisy_queries([Query(" ".join(text))], 0.4, random_state=0)
    got = noisy.item.split()
    assert len(got) / len(text) == pytest.approx(0.8, abs=0.02)
    # A swap of equal digits, or a letter replaced by itself, leaves a word as it was.
    assert 0.13 < np.mean([word not in set(text) for word in got]) * 0.8 < 0.21
    assert all(abs(len(word) - 9) <= 1 for word in got)


@given(st.integers(0, 99))
def test_queries_of_two_parts_keep_their_image(seed):
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    queries = [Query(text="the same in blue", image=image), Query(image)]
    noisy = noisy_queries(queries, 1, random_state=seed)
    assert noisy[0].image is image
    assert noisy[0].text != "the same in blue"
    assert noisy[1] is queries[1]


def test_combined_queries_keep_their_weights_and_get_noise_in_their_texts():
    image, text = np.zeros((2, 2, 3), dtype=np.uint8), "the same in deep blue"
    named = Query(text=text, image=image, weights={"text": 0.8, "image": 0.2})
    listed = Query(add=[image, text], subtract=text, weights=[1, 2, 3])
    named, listed = noisy_queries([named, listed], 1, random_state=0)
    assert named.weights == {"text": 0.8, "image": 0.2}
    assert listed.weights == [1, 2, 3]
    assert listed.add[0] is named.image is image
    assert text not in (named.text, listed.add[1], listed.subtract[0])


def test_texts_with_a_modality_of_their_own_or_with_pictures_get_noise_too():
    image, text = np.zeros((2, 2, 3), dtype=np.uint8), "the same in deep blue"
    tagged, joint, added = noisy_queries(
        [Query(Tagged(text, "german")), Query(Joint(text, image)), Query(add=Tagged(text, "x"))],
        1,
        random_state=0,
    )
    assert tagged.item.modality == "german"
    assert joint.item.image[0] is image
    assert added.add[0].modality == "x"
    assert text not in (tagged.item.item, joint.item.text, added.add[0].item)


@given(st.floats(0.01, 3), st.integers(0, 99))
def test_noise_on_rows_has_the_length_that_was_asked_for(amount, seed):
    rows = np.zeros((50, 400))
    rows[:, 0] = 7
    X = EmbeddingArray(rows, "query:text", encoder="my-clip @ 3f")
    noisy = noisy_queries(X, amount, random_state=seed)
    np.testing.assert_allclose(np.linalg.norm(noisy.values, axis=1), 1)
    assert (noisy.encoder, set(noisy.modality)) == (X.encoder, {"query:text"})
    # Of a unit row with perpendicular noise of this length.
    want = 1 / np.sqrt(1 + amount**2)
    assert noisy.values[:, 0].mean() == pytest.approx(want, abs=0.05)


def test_rows_of_zeros_stay_zero_and_types_stay():
    X = EmbeddingArray(np.diag([1, 0, 1]).astype("f4"), "query:text")
    noisy = noisy_queries(X, 1, random_state=0)
    assert noisy.dtype == np.float32
    assert not noisy.values[1].any()
    assert noisy_queries(X, 0) is X


def test_the_same_seed_gives_the_same_noise():
    queries = [Query("a red bicycle in deep snow")]
    first, second = (noisy_queries(queries, 0.9, random_state=3)[0].item for _ in range(2))
    assert first == second


def test_queries_of_two_parts_keep_their_length():
    X = EmbeddingArray(np.array([[0.3, 0.4], [3, 4]]), ["query:image+text", "query:text"])
    np.testing.assert_array_equal(noisy_queries(X, 0).values, X.values)
    noisy = noisy_queries(X, 1, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(noisy.values, axis=1), [0.5, 1])
    whole = EmbeddingArray(np.eye(2, dtype=int), "query:text")
    assert noisy_queries(whole, 1, random_state=0).dtype.kind == "f"


@pytest.mark.parametrize("queries", [["a"], np.eye(2)])
def test_what_is_no_query_is_refused(queries):
    with pytest.raises(ValueError, match="EmbeddingArray, or a list of Query"):
        noisy_queries(queries, 0.1)


@pytest.mark.parametrize("amount", [-0.1, 1.1, np.nan])
def test_amounts_out_of_range_are_refused(amount):
    with pytest.raises(ValueError, match="amount must be at least 0"):
        noisy_queries([Query("a")], amount)
