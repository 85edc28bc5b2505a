"""Whatever is added, removed, copied and pickled: answers are those of a fresh index."""

import copy
import pickle

import numpy as np
import pytest
from exported_lines import exported_lines
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mixed_cases import assert_same_results, unit, with_what_was_learned

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds

pytestmark = [
    pytest.mark.filterwarnings("ignore:Few rows:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*length zero:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*learned nothing:UserWarning"),
]
N_FEATURES = 4


def pool(distinct):
    """Rows of documents of five modalities: by id, its modality, tags and row numbers.

    Two have length zero, and unless they are `distinct` many are equal.
    """
    parts = {"text": 8, "image": 8, "audio": 3, "image+text": 6, "image+image+text": 3}
    tags, documents = [], {}
    for kind, n in parts.items():
        for i in range(n):
            at = range(len(tags), len(tags) + len(kind.split("+")))
            tags += kind.split("+")
            name = "+".join(sorted(set(kind.split("+"))))
            documents[f"{'long ' * i}{kind} {i}"] = name, at
    rows = np.random.default_rng(0).normal(size=(len(tags), N_FEATURES))
    if not distinct:
        rows = rows[np.arange(len(tags)) % 4]
    rows = unit(rows)
    rows[[2, 17]] = 0
    return EmbeddingArray(rows, tags), documents


class LivingCorpus(RuleBasedStateMachine):
    """Without a score calibration, with many equal documents."""

    calibration, atol = None, 0.0

    def __init__(self):
        super().__init__()
        self.X, self.documents = pool(distinct=self.calibration is not None)
        rng = np.random.default_rng(1)
        asks = ["query:text", "query:image"] * 4
        self.queries = self.of_library(EmbeddingArray(rng.normal(size=(8, N_FEATURES)), asks))
        self.X = self.of_library(self.X)
        self.copies, self.results = [], []

    def of_library(self, X):
        return X

    def rows_of(self, ids):
        rows = [row for x in ids for row in self.documents[x][1]]
        return self.X[rows], [x for x in ids for _ in self.documents[x][1]]

    def fresh(self, living, ids):
        X, y = self.rows_of(ids)
        return MixedModalityRetriever(40).fit(X, y)

    @initialize(data=st.data())
    def fit(self, data):
        ids = st.lists(st.sampled_from([*self.documents]), min_size=3, unique=True)
        self.there = data.draw(ids)
        X, y = self.rows_of(self.there)
        X = EmbeddingArray.concatenate([X, self.queries])
        self.living = MixedModalityRetriever(40, score_calibration=self.calibration)
        self.living.fit(X, [*y, *[None] * len(self.queries)])

    def absent(self):
        return [x for x in self.documents if x not in self.there]

    @precondition(lambda self: self.absent())
    @rule(data=st.data())
    def add(self, data):
        new = data.draw(st.lists(st.sampled_from(self.absent()), min_size=1, unique=True))
        self.living.partial_fit(*self.rows_of(new))
        self.there += new

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def remove(self, data):
        gone = data.draw(st.lists(st.sampled_from(self.there), unique=True))
        self.living.remove(gone)
        self.there = [x for x in self.there if x not in gone]

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def what_is_there_cannot_be_added(self, data):
        known = data.draw(st.sampled_from(self.there))
        with pytest.raises(ValueError, match="already in the corpus"):
            self.living.partial_fit(*self.rows_of([*self.absent()[:2], known]))

    @rule()
    def nothing_broken_can_be_added(self):
        with pytest.raises(ValueError, match="NaN"):
            self.living.partial_fit(np.full((1, N_FEATURES), np.nan), ["new"], modality="text")

    @rule(data=st.data())
    def what_is_not_there_cannot_be_removed(self, data):
        unknown = data.draw(st.sampled_from([*self.absent(), "nobody"]))
        with pytest.raises(ValueError, match="unknown document"):
            self.living.remove([*self.there[:2], unknown])

    @rule()
    def pickle(self):
        self.living = pickle.loads(pickle.dumps(self.living))

    @rule(go_on_with_the_copy=st.booleans())
    def copy(self, go_on_with_the_copy):
        both = [self.living, copy.copy(self.living)]
        self.living = both.pop(go_on_with_the_copy)
        self.copies.append((both[0], [*self.there]))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def go_on_with_an_older_copy(self, data):
        at = data.draw(st.integers(0, len(self.copies) - 1))
        before = self.living, [*self.there]
        self.living, self.there = self.copies[at][0], [*self.copies[at][1]]
        self.copies[at] = before

    @rule(k=st.integers(1, 40), data=st.data())
    def ask(self, k, data):
        if not self.there:
            with pytest.raises(ValueError, match="corpus is empty"):
                self.living.search(self.queries)
            return
        kinds = sorted({self.documents[x][0] for x in self.there})
        kind = data.draw(st.sampled_from([None, *kinds]))
        fresh = self.fresh(self.living, self.there)
        found = self.living.search(self.queries, k, document_modality=kind)
        want = fresh.search(self.queries, k, document_modality=kind)
        self.assert_same(want, found)
        self.results.append((found, copy.deepcopy(found)))
        np.testing.assert_array_equal(
            self.living.kneighbors(self.queries, k)[1], fresh.kneighbors(self.queries, k)[1]
        )
        np.testing.assert_allclose(exported_lines(self.living), exported_lines(fresh), atol=1e-5)
        with pytest.raises(ValueError, match="No document has the modality 'smell'"):
            self.living.search(self.queries, document_modality="smell")
        X, y = self.rows_of(self.there)
        X = EmbeddingArray.concatenate([X, self.queries])
        y = [*y, *[self.there[0]] * len(self.queries)]
        assert self.living.score(X, y) == pytest.approx(fresh.score(X, y))

    def assert_same(self, want, found):
        np.testing.assert_array_equal(want.ids, found.ids)
        np.testing.assert_array_equal(want.modalities, found.modalities)
        np.testing.assert_allclose(want.scores, found.scores, atol=self.atol, rtol=0)

    @invariant()
    def documents_are_those_that_were_added_and_not_removed(self):
        for index, ids in [(self.living, self.there), *self.copies]:
            assert index.ids_.tolist() == ids
            assert index.document_modality_.tolist() == [self.documents[x][0] for x in ids]
            assert index.n_documents_ == len(ids)

    def teardown(self):
        for index, ids in self.copies:
            if ids:
                self.assert_same(
                    self.fresh(index, ids).search(self.queries), index.search(self.queries)
                )
        for found, before in self.results:
            for name, array in vars(found).items():
                np.testing.assert_array_equal(array, getattr(before, name))


class CalibratedCorpus(LivingCorpus):
    """With posterior odds: a fresh index has what the living one learned."""

    calibration = PosteriorOdds()

    def fresh(self, living, ids):
        return with_what_was_learned(living, *self.rows_of(ids))

    def assert_same(self, want, found):
        assert_same_results(want, found, 1e-9)
        assert np.isfinite(found.scores).all()
        assert np.isfinite(found.probabilities).all()


class TensorCorpus(LivingCorpus):
    """Without a score calibration, on tensors, which a pickle holds as numpy."""

    atol = 1e-15

    def of_library(self, X):
        torch = pytest.importorskip("torch")
        return EmbeddingArray(torch.tensor(X.values), X._tags)


TestLivingCorpus = LivingCorpus.TestCase
TestCalibratedCorpus = CalibratedCorpus.TestCase
TestTensorCorpus = TensorCorpus.TestCase
TestLivingCorpus.settings = settings(max_examples=60, stateful_step_count=25)
TestCalibratedCorpus.settings = TestTensorCorpus.settings = settings(
    TestLivingCorpus.settings, max_examples=30
)
