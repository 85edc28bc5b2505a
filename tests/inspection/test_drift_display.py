import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, ModalityGapRemover
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import DriftDisplay
from gapremoval.metrics import drift


@pytest.fixture(scope="module")
def rows():
    return make_mixed_modality(120, random_state=0)[0]


@pytest.fixture(scope="module")
def remover(rows):
    return ModalityGapRemover().fit(rows[::2])


def test_each_line_is_the_drift_of_a_modality(rows, remover):
    elsewhere, _ = make_mixed_modality(120, random_state=1)
    batches = {"Monday": rows[1::2], "Tuesday": elsewhere}
    _, ax = plt.subplots()
    display = DriftDisplay.from_estimator(remover, batches, ax=ax)
    assert display.ax_ is ax
    for name, line in display.lines_.items():
        wanted = [drift(remover, batch)[name] for batch in batches.values()]
        np.testing.assert_allclose(line.get_ydata(), wanted)
        assert wanted[0] < 1.5 < wanted[1]
    assert [x.get_text() for x in ax.get_xticklabels()] == [*batches]
    labels = [x.get_text() for x in ax.get_legend().get_texts()]
    assert labels == [*display.lines_, "by chance"]
    assert set(display.lines_) == {"text", "image", "query:text"}


def test_chance_is_marked_at_one(rows, remover):
    display = DriftDisplay.from_estimator(remover, [rows[1::2]])
    (chance,) = (x for x in display.ax_.lines if x.get_label() == "by chance")
    assert list(chance.get_ydata()) == [1, 1]
    assert display.batches == ["1"]


def test_a_batch_without_a_modality_leaves_a_hole_and_one_that_was_not_fitted_is_named(rows):
    remover = ModalityGapRemover().fit(rows[rows.modality != "query:text"])
    texts = rows[rows.modality == "text"]
    display = DriftDisplay.from_estimator(remover, [rows, texts], linewidth=3)
    assert np.isnan(display.lines_["image"].get_ydata()).tolist() == [False, True]
    assert display.lines_["query:text"].get_label() == "query:text (not fitted)"
    assert display.lines_["text"].get_linewidth() == 3


def test_rows_that_are_not_split_are_one_batch(rows, remover):
    one, same = (DriftDisplay.from_estimator(remover, x) for x in (rows[1::2], [rows[1::2]]))
    assert one.batches == same.batches == ["1"]
    assert one.drifts == same.drifts


def test_what_is_no_fitted_remover_or_no_batch_is_refused(rows, remover):
    with pytest.raises(ValueError, match="There is no batch"):
        DriftDisplay.from_estimator(remover, [])
    with pytest.raises(TypeError, match=r"such as pipe\[0\] of a pipeline; got a Pipeline"):
        DriftDisplay.from_estimator(make_pipeline(remover), [rows])
    with pytest.raises(NotFittedError):
        DriftDisplay.from_estimator(ModalityGapRemover(), [rows])
    with pytest.raises(ValueError, match="features"):
        DriftDisplay.from_estimator(remover, [EmbeddingArray(rows.values[:, :3], rows.modality)])
