"""Questions in several languages, each with a query mean of its own."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from languages import PIPELINES, draw_languages, fitted, measure, retagged
from numpy.testing import assert_allclose, assert_array_equal

from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
    ModalityGapRemover,
    Query,
    Tagged,
    make_search_pipeline,
    search,
    teach,
)
from gapremoval.datasets import make_scenes

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "languages.md"
GAP_REMOVED = PIPELINES["gap removed"]


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_a_common_mean_costs_a_language_much_and_its_own_costs_nothing(make):
    english, borrowed, common, own = measure(make, 0.5, 150, 0).values()
    unmoved = measure(make, 0, 150, 0)["German, with a common one"]
    assert borrowed < common < own - 0.04
    assert abs(own - unmoved) < 0.02
    assert own > english - 0.04


@settings(max_examples=10)
@given(offset=st.floats(0, 1.5), draw=st.integers(0, 3))
def test_however_far_a_language_lies_its_own_mean_loses_nothing(offset, draw):
    near, far = (measure_own(x, draw) for x in (0, offset))
    assert far > near - 0.03


def measure_own(offset, draw):
    documents, _, (german, answers) = draw_languages(offset, random_state=draw)
    return fitted(GAP_REMOVED, documents, german[:150]).score(german[150:], answers[150:])


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
@given(n_german=st.integers(20, 150))
@settings(max_examples=3)
def test_questions_of_another_language_change_no_answer_to_the_first(make, n_german):
    documents, (english, _), (german, _) = draw_languages(0.5)
    alone = fitted(make, documents, english[:150])
    both = fitted(make, documents, english[:150], german[:n_german])
    for name in ("ids", "scores"):
        found = [getattr(search(pipe, english[150:]), name) for pipe in (alone, both)]
        assert_array_equal(*found)


def test_notes_of_a_language_stand_behind_its_questions():
    (documents, ids), _, (german, _) = draw_languages(0.5)
    is_text = documents.modality == "text"
    tags = np.where(is_text, "german", documents.modality)
    pipe = fitted(GAP_REMOVED, (EmbeddingArray(documents.values, tags), ids))
    assert_array_equal(pipe[0].centers_["german"], pipe[0].means_["german"])
    plain = fitted(GAP_REMOVED, (documents, ids))
    as_text = search(plain, retagged(german, "query:text"))
    assert_allclose(search(pipe, german).scores, as_text.scores, atol=1e-6)
    only = search(pipe, german, 5, document_modality="german").ids
    assert set(only.ravel()) <= set(np.array(ids)[is_text])


def test_a_mean_from_elsewhere_is_worth_its_questions():
    (documents, _), _, (german, _) = draw_languages(0.5)
    learn, test = german[:150], german[150:]
    mean = learn.values.astype(float).mean(axis=0)
    own = ModalityGapRemover(shrinkage=0).fit(EmbeddingArray.concatenate([documents, learn]))
    # As the questions of the only language, and as a tag of its own.
    given = ModalityGapRemover(prior={"query:text": mean}, shrinkage=np.inf).fit(documents)
    tagged = ModalityGapRemover(prior={"query:german": mean}).fit(documents)
    with pytest.warns(UserWarning, match="comes from the prior alone"):
        as_text = given.transform(retagged(test, "query:text"))
    with pytest.warns(UserWarning, match="comes from the prior alone"):
        as_german = tagged.transform(test)
    for rows in (as_text, as_german):
        assert_allclose(rows.values, own.transform(test).values, atol=1e-6)


def test_a_language_that_nothing_was_fitted_on_is_refused():
    documents, (english, _), (german, _) = draw_languages(0.5)
    pipe = fitted(make_search_pipeline, documents, english[:150])
    with pytest.raises(ValueError, match="'query:german' was not fitted and has no fallback"):
        search(pipe, german[:1])


def test_posterior_odds_learn_a_language_from_questions_that_come_later():
    (documents, ids), (english, _), (german, answers) = draw_languages(0.5)
    mean = german.values[:150].mean(axis=0)
    pipe = make_search_pipeline().set_params(modalitygapremover__prior={"query:german": mean})
    pipe.fit(EmbeddingArray.concatenate([documents, english]), [*ids, *[None] * len(english)])
    with pytest.warns(UserWarning, match=r"prior alone|learned nothing about 'query:german'"):
        before = pipe.score(german[150:], answers[150:])
    with pytest.warns(UserWarning, match="prior alone"):
        teach(pipe, german[:150])
    with pytest.warns(UserWarning, match="prior alone"):
        after = pipe.score(german[150:], answers[150:])
    assert after > before + 0.05


def test_tagged_questions_go_through_an_encoder():
    pytest.importorskip("open_clip")
    scenes = make_scenes(16, random_state=0)
    texts = [captions[0] for captions in scenes.captions]
    asked = [Query(Tagged(captions[1], "german")) for captions in scenes.captions]
    pipe = make_search_pipeline(CLIPEncoder("pocket"))
    pipe.fit([*scenes.images, *texts, *asked], [*range(16), *range(16), *[None] * 16])
    assert "query:german" in pipe[1].centers_
    found = search(pipe, asked, 1).ids[:, 0]
    assert (found == np.arange(16)).mean() > 0.9


def test_the_names_on_the_page_are_known_to_open_clip():
    open_clip = pytest.importorskip("open_clip")
    known = {f"{name}/{tag}" for name, tag in open_clip.list_pretrained()}
    table = PAGE.read_text("utf-8").split("With `CLIPEncoder`")[1].split("\n\n")[1]
    names = re.findall(r'^\| `"(.*?)"`', table, re.MULTILINE)
    assert len(names) >= 8
    assert set(names) <= known
