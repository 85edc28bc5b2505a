import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.exceptions import NotFittedError
from strategies import scales, tagged_rows

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.calibration import drift

pytestmark = pytest.mark.filterwarnings("ignore:Few rows:UserWarning")
MODALITIES = ["text", "image", "query:text", "query:image+text"]


def drawn(rng, n, modality, shift=0.0, n_features=32):
    """Rows around the first axis; a shift moves them along the second."""
    rows = rng.normal(size=(n, n_features))
    rows[:, 0] += 4
    rows[:, 1] += shift
    return EmbeddingArray(rows, modality)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("n", "n_fitted"), [(2, 300), (20, 20), (500, 20), (1000, 3000)])
def test_rows_like_those_that_were_fitted_are_about_one_standard_error_away(modality, n, n_fitted):
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(200):
        remover = ModalityGapRemover().fit(drawn(rng, n_fitted, modality))
        squares.append(drift(remover, drawn(rng, n, modality))[modality] ** 2)
    assert np.mean(squares) == pytest.approx(1, abs=0.25 if n == 2 else 0.1)


@pytest.mark.parametrize("n", [2, 50])
def test_one_new_row_or_one_fitted_row_has_the_spread_of_the_others(n):
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(300):
        one, others = drawn(rng, 1, "text"), drawn(rng, n, "text")
        remover = ModalityGapRemover()
        squares.append(
            [
                drift(remover.fit(others), one)["text"] ** 2,
                drift(remover.fit(one), others)["text"] ** 2,
            ]
        )
    assert np.mean(squares, axis=0) == pytest.approx(1, abs=0.2)


def test_it_is_the_distance_of_the_means_over_its_standard_error():
    rng = np.random.default_rng(0)
    fitted, new = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1
    fitted, new = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (fitted, new))
    error = np.trace(np.cov(fitted.T)) / 7 + np.trace(np.cov(new.T)) / 5
    want = np.linalg.norm(fitted.mean(axis=0) - new.mean(axis=0)) / np.sqrt(error)
    remover = ModalityGapRemover().fit(EmbeddingArray(fitted, "image"))
    assert drift(remover, EmbeddingArray(new, "image")) == {"image": pytest.approx(want)}
    new = EmbeddingArray(2 * new, "query:image+text")
    remover.fit(EmbeddingArray(fitted, "query:image+text"))
    error = 4 * np.trace(np.cov(new.values.T / 2)) * (1 / 7 + 1 / 5)
    want = np.linalg.norm(fitted.mean(axis=0) - new.values.mean(axis=0)) / np.sqrt(error)
    assert drift(remover, new) == {"query:image+text": pytest.approx(want)}


@pytest.mark.parametrize("modality", MODALITIES)
def test_it_grows_with_the_shift_and_with_the_number_of_rows(modality):
    rng = np.random.default_rng(0)
    remover = ModalityGapRemover().fit(drawn(rng, 1000, modality))
    by_shift = [drift(remover, drawn(rng, 500, modality, x))[modality] for x in (0, 1, 2, 4)]
    assert (np.diff(by_shift) > 1).all()
    by_number = [drift(remover, drawn(rng, n, modality, 2.0))[modality] for n in (10, 100, 1000)]
    assert (np.diff(by_number) > 1).all()


def test_a_shift_in_one_modality_is_seen_there_alone():
    rng = np.random.default_rng(0)
    remover = ModalityGapRemover().fit(
        EmbeddingArray.concatenate([drawn(rng, 500, name) for name in MODALITIES])
    )
    new = [drawn(rng, 300, name, 4 * (name == "query:text")) for name in MODALITIES]
    found = drift(remover, EmbeddingArray.concatenate(new))
    assert [*found] == MODALITIES
    assert found.pop("query:text") > 5
    assert max(found.values()) < 1.5


@given(st.data(), st.integers(0, 2**32 - 1))
def test_neither_the_scale_of_a_row_nor_a_rotation_nor_the_order_matters(data, seed):
    X = data.draw(tagged_rows(modalities=["text", "image", "query:text"], dtypes="d"))
    rng = np.random.default_rng(seed)
    others = EmbeddingArray(rng.normal(size=(30, X.shape[1])), ["text", "query:text"] * 15)
    remover = ModalityGapRemover().fit(others)
    want = drift(remover, X)
    scaled = X.values * data.draw(scales(len(X)))[:, None]
    assert drift(remover, EmbeddingArray(scaled, X._tags)) == pytest.approx(want, nan_ok=True)
    rotation = ortho_group.rvs(X.shape[1], random_state=rng)
    turned = ModalityGapRemover().fit(EmbeddingArray(others.values @ rotation, others._tags))
    found = drift(turned, EmbeddingArray(X.values @ rotation, X._tags))
    assert found == pytest.approx(want, rel=1e-4, nan_ok=True)
    assert drift(remover, X[rng.permutation(len(X))]) == pytest.approx(want, nan_ok=True)


def test_rows_of_length_zero_do_not_count():
    rng = np.random.default_rng(0)
    remover = ModalityGapRemover().fit(drawn(rng, 50, "text"))
    new = drawn(rng, 10, "text")
    padded = EmbeddingArray.concatenate([new, EmbeddingArray(np.zeros((5, 32)), "text")])
    assert drift(remover, padded) == drift(remover, new)
    assert np.isnan(drift(remover, padded[10:])["text"])


def test_what_cannot_be_compared_is_nan():
    rng = np.random.default_rng(0)
    text, audio = drawn(rng, 50, "text"), drawn(rng, 50, "audio")
    remover = ModalityGapRemover(prior={"audio": np.eye(32)[0]}).fit(text)
    found = drift(remover, EmbeddingArray.concatenate([text, audio, drawn(rng, 5, "query:text")]))
    assert found.pop("text") == pytest.approx(0, abs=1e-9)
    assert [*found] == ["audio", "query:text"]
    assert np.isnan([*found.values()]).all()
    fused = drawn(rng, 3, "query:image+text")
    remover = ModalityGapRemover().fit(EmbeddingArray.concatenate([audio[:1], fused]))
    for one in (drawn(rng, 1, "audio"), fused[:1]):
        assert np.isnan([*drift(remover, one).values()]).all()


def test_equal_rows_are_at_no_distance_and_others_far():
    rows = EmbeddingArray(np.tile([[0.1, 0.7]], (50, 1)), "text")
    remover = ModalityGapRemover().fit(rows)
    assert drift(remover, rows[:20])["text"] < 1e-3
    assert drift(remover, EmbeddingArray(rows.values[:, ::-1], "text"))["text"] > 1e5


def test_modalities_come_as_the_remover_takes_them():
    rng = np.random.default_rng(0)
    X = EmbeddingArray.concatenate([drawn(rng, 20, "text"), drawn(rng, 20, "image")])
    remover = ModalityGapRemover().fit(X)
    half = X[::2]
    want = drift(remover, half)
    assert drift(remover, half.values, modality=half.modality) == want
    with pytest.raises(ValueError, match="does not say which"):
        drift(remover, half.values)
    with pytest.raises(ValueError, match="NaN in row 3"):
        drift(
            remover,
            EmbeddingArray(
                np.where(np.arange(20)[:, None] == 3, np.nan, 1 + half.values), half._tags
            ),
        )
    with pytest.raises(ValueError, match="31 features"):
        drift(remover, EmbeddingArray(half.values[:, 1:], half._tags))
    with pytest.raises(NotFittedError):
        drift(ModalityGapRemover(), half)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_other_number_types_and_tensors_are_taken(dtype):
    rng = np.random.default_rng(0)
    X = EmbeddingArray((4 * drawn(rng, 60, "text").values).astype(dtype), "text")
    remover = ModalityGapRemover().fit(X[:40])
    want = drift(remover, EmbeddingArray(X.values[40:].astype(float), "text"))
    assert drift(remover, X[40:]) == pytest.approx(want)
    torch = pytest.importorskip("torch")
    assert drift(remover, EmbeddingArray(torch.tensor(X.values[40:]), "text")) == pytest.approx(
        want, rel=1e-5
    )


def test_the_stored_fit_of_a_stream_is_compared():
    rng = np.random.default_rng(0)
    X, new = drawn(rng, 90, "text"), drawn(rng, 30, "text")
    remover = ModalityGapRemover()
    for start in range(0, 90, 30):
        remover.partial_fit(X[start : start + 30])
    assert drift(remover, new) == pytest.approx(drift(ModalityGapRemover().fit(X), new))
