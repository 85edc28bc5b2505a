"""Does an index ever differ from plain numpy, whatever is done to it and in whatever order?

Documents of several modalities and parts, some of them equal and some of length zero, are fitted,
added, removed, searched, scored, pickled, copied, dumped, loaded, mapped and interrupted at random.
The oracle is a dict from id to fused vector in float64, ranked by brute force. With a score
calibration, the scores are compared with the folded vectors, whose directions are the oracle's
and whose scale may not change while a document is there. The threads are those of
threaded_machine.py.

usage: python tests/random_machine.py [--operations 20000] [--threaded 20000] [--seed 0]

Prints what was done, and what was found; the exit code is 1 if anything was.
"""

import argparse
import copy
import pickle
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from itertools import product
from pathlib import Path

import joblib
import numpy as np
from exported_lines import exported_lines
from interrupts import interrupted
from random_documents import (
    PARTS,
    TEXT_WEIGHT,
    assert_refused,
    assert_right,
    draw_document,
    draw_queries,
    drawn,
    rows_of,
)
from threaded_machine import ThreadedMachine

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds


class RandomMachine:
    """A retriever and its oracle, to which random things are done.

    Parameters
    ----------
    seed : int
    calibrated : bool
        Whether the retriever has a score calibration, `PosteriorOdds`.
    ids : {"int", "str"}
    folder : Path
        For files that are written and mapped.
    """

    # How often each is done.
    OPERATIONS = {
        "search": 30,
        "add": 16,
        "remove": 12,
        "kneighbors": 6,
        "score": 6,
        "add what is there": 3,
        "add nan": 3,
        "remove what is not there": 3,
        "pickle": 3,
        "copy": 3,
        "deepcopy": 2,
        "swap with a copy": 4,
        "hash": 2,
        "dump and load": 3,
        "interrupt": 10,
        "remove all": 0.3,
        "fit": 1,
        "fit a file": 1,
    }
    SIZE, N_COPIES = 120, 3

    def __init__(self, seed, calibrated, ids, folder):
        self.rng = np.random.default_rng(seed)
        self.calibrated, self.id_type, self.folder = calibrated, ids, Path(folder)
        self.done, self.n_ids = Counter(), 0
        self.gone, self.copies, self.files = [], [], {}
        self.retriever, self.there, self.lines = None, {}, {}
        self.fit()

    def run(self, n_operations):
        """Do so many random things.

        Raises
        ------
        AssertionError
            If anything is not as the oracle has it; the message names the operation.
        """
        for name, _ in zip(drawn(self.rng, self.OPERATIONS), range(n_operations)):
            self.done[name] += 1
            try:
                getattr(self, name.replace(" ", "_"))()
                self.check_documents()
            except Exception as error:
                number = sum(self.done.values())
                raise AssertionError(f"operation {number}, {name}: {error!r}") from error
        self.check_files()

    def check_documents(self, retriever=None, there=None):
        """Whether the documents are those that were added and not removed."""
        retriever, there = retriever or self.retriever, self.there if there is None else there
        assert retriever.ids_.tolist() == [*there], "other ids"
        want = [document.modality for document in there.values()]
        assert retriever.document_modality_.tolist() == want, "other modalities"
        assert retriever.n_documents_ == len(there), "another number of documents"

    def scores(self, queries):
        """The right scores, of shape (n_queries, n_documents), and how much they may differ."""
        vectors = np.stack([document.vector for document in self.there.values()])
        directed = vectors.any(axis=1)
        rows = queries.values.astype(float)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        if not self.calibrated:
            return np.where(directed, rows @ vectors.T, -np.inf), 1e-6
        scores = np.empty((len(rows), len(vectors)))
        for asks in set(queries.modality.tolist()):
            folded = self.folded(asks, vectors, directed)
            mine = queries.modality == asks
            scores[mine] = rows[mine] @ folded[:, :-1].T + folded[:, -1]
        return np.where(directed, scores, -np.inf), 1e-4

    def folded(self, asks, vectors, directed):
        """The exported vectors, compared with the oracle's."""
        folded = exported_lines(self.retriever, asks)
        scale = np.linalg.norm(folded[:, :-1], axis=1)
        unit = folded[directed, :-1] / scale[directed, None]
        np.testing.assert_allclose(unit, vectors[directed], atol=1e-5)
        slope = self.retriever.score_calibration_.slope_[asks]
        documents = [document for document in self.there.values() if document.rows.any()]
        n_documents = Counter(document.modality for document in documents)
        for document, (*_, offset), mine in zip(documents, folded[directed], scale[directed]):
            # All but the prior, which follows the size of the modality, stays until the score
            # calibration learns again, which its slope shows.
            now = mine, offset + np.log(n_documents[document.modality]) / slope
            before = self.lines.setdefault((document, asks, slope), now)
            np.testing.assert_allclose(now, before, rtol=1e-4, atol=1e-4)
        return folded

    def new_id(self):
        """A fresh id, or one that was removed."""
        if self.gone and self.rng.random() < 0.3:
            return self.gone.pop(self.rng.integers(len(self.gone)))
        self.n_ids += 1
        if self.id_type == "int":
            return int(self.rng.integers(-(2**40), 2**40)) * 2**16 + self.n_ids
        return "long " * int(self.rng.integers(4)) + str(self.n_ids)

    def draw(self, n, **how):
        return {self.new_id(): draw_document(self.rng, **how) for _ in range(n)}

    def some(self, most):
        """Ids of up to so many documents that are there."""
        n = min(len(self.there), int(self.rng.integers(1, most + 1)))
        return [[*self.there][i] for i in self.rng.permutation(len(self.there))[:n]]

    def fit(self):
        there = self.draw(int(self.rng.integers(8, 40)))
        X, y = rows_of(there)
        if self.rng.random() < 0.5:
            order = self.rng.permutation(len(y))
            X, y = X[order], [y[i] for i in order]
        self.fit_rows(X, y, {x: there[x] for x in dict.fromkeys(y)})

    def fit_a_file(self):
        """Rows that can stay in their file: one a document, of unit length, by modality."""
        there = self.draw(20, zeros=False, parts=PARTS[:3], mapped=True)
        there = dict(sorted(there.items(), key=lambda pair: pair[1].modality))
        self.check_files()
        path = self.folder / f"{self.done.total()}.npy"
        self.fit_rows(*rows_of(there), there, path)

    def fit_rows(self, X, y, there, path=None):
        queries = draw_queries(self.rng, 30)
        X, y = EmbeddingArray.concatenate([X, queries]), [*y, *[None] * len(queries)]
        if path:
            np.save(path, X.values)
            self.files[path] = path.read_bytes()
            mode = ["r", "r+", "c"][self.rng.integers(3)]
            X = EmbeddingArray(np.load(path, mmap_mode=mode), X.modality)
        odds = PosteriorOdds() if self.calibrated else None
        retriever = MixedModalityRetriever(fusion_weight=TEXT_WEIGHT, score_calibration=odds)
        self.retriever = retriever.fit(X, y)
        self.there, self.lines, self.gone = there, {}, []

    def add(self):
        if len(self.there) > self.SIZE:
            return self.remove(most=self.SIZE)
        new = self.draw(int(self.rng.integers(1, 9)))
        self.retriever.partial_fit(*rows_of(new))
        self.there = self.there | new

    def remove(self, most=12):
        if not self.there:
            return
        gone = self.some(most)
        one = gone[0] if len(gone) == 1 and self.rng.random() < 0.5 else gone
        self.retriever.remove(one)
        self.forget(gone)

    def forget(self, gone):
        self.gone += gone
        self.there = {x: document for x, document in self.there.items() if x not in set(gone)}

    def remove_all(self):
        self.retriever.remove(self.retriever.ids_)
        self.forget([*self.there])

    def add_what_is_there(self):
        if self.there:
            new = self.draw(3) | {self.some(1)[0]: draw_document(self.rng)}
            assert_refused(
                lambda: self.retriever.partial_fit(*rows_of(new)), "already in the corpus"
            )

    def add_nan(self):
        X, y = rows_of(self.draw(3))
        X.values[self.rng.integers(len(X)), 0] = np.nan
        assert_refused(lambda: self.retriever.partial_fit(X, y), "NaN")

    def remove_what_is_not_there(self):
        unknown = [*self.draw(1)]
        assert_refused(lambda: self.retriever.remove([*self.some(3), *unknown]), "unknown document")

    def search(self):
        queries = draw_queries(self.rng, int(self.rng.integers(1, 5)), [*self.there.values()])
        if not self.there:
            assert_refused(lambda: self.retriever.search(queries), "corpus is empty")
            return
        k = int(self.rng.choice([1, 3, 10, len(self.there) + 3]))
        kinds = sorted({document.modality for document in self.there.values()})
        kind = kinds[self.rng.integers(len(kinds))] if self.rng.random() < 0.3 else None
        among = None
        if self.rng.random() < 0.3:
            is_chosen = self.rng.random(len(self.there)) < self.rng.choice([0.1, 0.5, 0.9])
            among = {id_ for id_, chosen in zip(self.there, is_chosen) if chosen}
        given = is_chosen if among is not None and self.rng.random() < 0.5 else among
        found = self.retriever.search(queries, k, document_modality=kind, among=given)
        self.check_search(queries, found, k, kind, among)

    def check_search(self, queries, found, k, kind=None, among=None):
        scores, tolerance = self.scores(queries)
        there = self.there
        if among is not None:
            scores = scores[:, [id_ in among for id_ in there]]
            there = {id_: document for id_, document in there.items() if id_ in among}
        for i, right in enumerate(scores):
            row = found.ids[i].tolist(), found.scores[i], found.modalities[i].tolist()
            assert_right(row, right, there, k, tolerance, kind, ties=not self.calibrated)
        if self.calibrated:
            assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
            if k >= len(self.there):
                mine = [kind in (None, x.modality) for x in there.values()]
                there = np.isfinite(scores[:, mine]).any(axis=1)
                np.testing.assert_allclose(found.probabilities.sum(axis=1), there, atol=1e-5)

    def kneighbors(self):
        if self.there:
            queries = draw_queries(self.rng, 3)
            found = self.retriever.search(queries, 7)
            distances, places = self.retriever.kneighbors(queries, 7)
            assert (self.retriever.ids_[places] == found.ids).all()
            np.testing.assert_array_equal(distances, 1 - found.scores)

    def score(self):
        directed = [x for x, document in self.there.items() if document.rows.any()]
        if not directed:
            return
        queries = draw_queries(self.rng, 5, [*self.there.values()])
        relevant = [directed[i] for i in self.rng.integers(len(directed), size=len(queries))]
        scores, tolerance = self.scores(queries)
        places, bounds = {x: i for i, x in enumerate(self.there)}, []
        for right, id_ in zip(scores, relevant):
            mine = right[places[id_]]
            for slack in (-tolerance, tolerance):
                rank = (right > mine + slack).sum() + (slack > 0)
                bounds.append(1 / np.log2(rank + 1) if 1 <= rank <= 10 else 0.0)
        X, y = rows_of({x: self.there[x] for x in self.some(5)})
        X, y = EmbeddingArray.concatenate([X, queries]), [*y, *relevant]
        got = self.retriever.score(X, y)
        low, high = np.mean(bounds[::2]), np.mean(bounds[1::2])
        assert low - 1e-9 <= got <= high + 1e-9, f"score {got}, right between {low} and {high}"

    def all_found(self):
        queries = draw_queries(np.random.default_rng(0), 4)
        return self.retriever.search(queries, len(self.there)) if self.there else None

    def the_same(self, change):
        """Something that must change no answer."""
        before, ids = self.all_found(), self.retriever.ids_.tolist()
        change()
        assert self.retriever.ids_.tolist() == ids
        after = self.all_found()
        for name in vars(before) if before else ():
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))

    def keep(self, retriever):
        """Keep another retriever with the documents of this one."""
        self.copies.append((retriever, self.there, self.lines, [*self.gone]))
        if len(self.copies) > self.N_COPIES:
            oldest, there, *_ = self.copies.pop(0)
            self.check_documents(oldest, there)

    def pickle(self):
        def change():
            self.retriever = pickle.loads(pickle.dumps(self.retriever))

        self.the_same(change)

    def copy(self):
        def change():
            both = [self.retriever, copy.copy(self.retriever)]
            self.retriever = both.pop(self.rng.integers(2))
            self.keep(both[0])

        self.the_same(change)

    def deepcopy(self):
        self.the_same(lambda: self.keep(copy.deepcopy(self.retriever)))

    def swap_with_a_copy(self):
        if self.copies:
            at = self.rng.integers(len(self.copies))
            mine = self.retriever, self.there, self.lines, self.gone
            self.retriever, self.there, self.lines, self.gone = self.copies[at]
            self.copies[at] = mine
            self.search()

    def hash(self):
        self.the_same(lambda: joblib.hash(self.retriever))
        assert joblib.hash(self.retriever) == joblib.hash(self.retriever)

    def dump_and_load(self):
        self.check_files()
        path = self.folder / f"{self.done.total()}.joblib"
        mode = [None, "r", "r+", "c"][self.rng.integers(4)]

        def change():
            joblib.dump(self.retriever, path)
            self.files[path] = path.read_bytes()
            self.retriever = joblib.load(path, mmap_mode=mode)

        self.the_same(change)

    def check_files(self):
        """Whether the files that were written are as they were written."""
        for path, content in self.files.items():
            assert path.read_bytes() == content, f"{path.name} was written to"
            path.unlink()  # what is mapped stays
        self.files = {}

    def interrupt(self):
        before, visit = self.there, int(self.rng.integers(1, 400))
        if before and self.rng.random() < 0.5:
            gone = self.some(6)
            self.forget(gone)
            interrupted(lambda: self.retriever.remove(gone), visit)
        else:
            new = self.draw(int(self.rng.integers(1, 5)))
            self.there = before | new
            interrupted(lambda: self.retriever.partial_fit(*rows_of(new)), visit)
        if self.retriever.ids_.tolist() == [*before]:
            self.there = before
            self.gone = [x for x in self.gone if x not in before]
        self.check_documents()
        self.search()


def report(name, machine, n_operations):
    """Run a machine, print what it did, and return whether anything was found."""
    start, found = time.perf_counter(), None
    try:
        machine.run(n_operations)
    except Exception:
        found = traceback.format_exc()
    seconds = time.perf_counter() - start
    done = ", ".join(f"{n:,} {what}" for what, n in machine.done.most_common())
    print(f"\n{name}: {machine.done.total():,} operations in {seconds:.0f} s: {done}.\n")
    print(found or "Nothing was found.", flush=True)
    return found is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=20_000, help="from one thread, in all")
    parser.add_argument("--threaded", type=int, default=20_000, help="from six threads, in all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of few rows and of length zero
    found = False
    for calibrated, ids in product((False, True), ("int", "str")):
        how = f"{'posterior odds' if calibrated else 'cosines'}, ids are {ids}"
        with tempfile.TemporaryDirectory() as folder:
            machine = RandomMachine(options.seed, calibrated, ids, folder)
            found |= report(f"One thread, {how}", machine, options.operations // 4)
        machine = ThreadedMachine(options.seed, calibrated, ids)
        found |= report(f"Six threads, {how}", machine, options.threaded // 4)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
