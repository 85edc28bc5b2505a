"""Several threads change and search one index, and each answer is checked against plain numpy.

Each writer has ids of its own, so it knows which of them must be there; every call adds or removes
whole batches, so a search must see all of a batch or nothing. Searches check what they find
against what was surely there and what was surely not. Run by random_machine.py.
"""

import copy
import itertools
import pickle
import sys
import threading
import traceback
from collections import Counter
from dataclasses import dataclass
from math import inf

import joblib
import numpy as np
from exported_lines import exported_lines
from interrupts import interrupted
from random_documents import (
    TEXT_WEIGHT,
    Document,
    assert_refused,
    draw_document,
    draw_queries,
    drawn,
    rows_of,
)

from gapremoval import EmbeddingArray, MixedModalityRetriever, PosteriorOdds


@dataclass(eq=False)
class Life:
    """Ticks of the clock between which a document came and went.

    Attributes
    ----------
    document : Document
    batch : object
        Equal for the documents that come in one call, and go in one.
    begun, there : float
        Before and after the call that added it.
    leaving, gone : float
        Before and after the call that removed it; inf until then.
    """

    document: Document
    batch: object
    begun: float
    there: float = inf
    leaving: float = inf
    gone: float = inf


class ThreadedMachine:
    """A retriever with writers and readers.

    Parameters
    ----------
    seed : int
    calibrated : bool
        Whether the retriever has a score calibration, `PosteriorOdds`.
    ids : {"int", "str"}
    """

    BATCHES = 12  # of each writer, at most
    WRITES = {"add": 8, "remove": 6, "fail": 2, "interrupt": 2, "look": 2}
    READS = {"search": 8, "search all": 8, "copy": 2, "pickle": 2, "hash": 1}

    def __init__(self, seed, calibrated, ids):
        self.seed, self.calibrated, self.id_type = seed, calibrated, ids
        self.clock, self.count, self.done = itertools.count(), itertools.count(), Counter()
        self.lives, self.kept, self.errors = {}, [], []
        rng = np.random.default_rng(seed)
        first = {self.new_id(9, i): draw_document(rng) for i in range(20)}
        self.lives = {x: Life(document, (9, 0), -1, -1) for x, document in first.items()}
        X, y = rows_of(first)
        queries = draw_queries(rng, 30)
        odds = PosteriorOdds() if calibrated else None
        self.retriever = MixedModalityRetriever(fusion_weight=TEXT_WEIGHT, score_calibration=odds)
        X = EmbeddingArray.concatenate([X, queries])
        self.retriever.fit(X, [*y, *[None] * len(queries)])

    def new_id(self, writer, n):
        return writer * 10**15 + n if self.id_type == "int" else f"writer {writer}, {n}"

    def run(self, n_operations, n_writers=3, n_readers=3, timeout=1800):
        """Do so many random things, from all threads together.

        Raises
        ------
        AssertionError
            If anything is not as the oracle has it, or a thread is stuck.
        """
        threads = [
            threading.Thread(target=self.work, args=(role, i, n_operations), daemon=True)
            for role, n in ((self.write, n_writers), (self.read, n_readers))
            for i in range(n)
        ]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout)
        finally:
            sys.setswitchinterval(before)
        assert not self.errors, f"{len(self.errors)} errors, the first:\n{self.errors[0]}"
        assert not any(thread.is_alive() for thread in threads), "a thread is stuck"
        there = {x for x, life in self.lives.items() if life.there < inf and life.gone == inf}
        found = self.retriever.ids_.tolist()
        assert len(found) == len(set(found)), "an id twice in the end"
        assert set(found) == there, f"in the end {set(found) ^ there} lost or left"
        for seen in self.kept if self.calibrated else ():
            self.check_calibrated(*seen)

    def work(self, role, number, n_operations):
        rng = np.random.default_rng([self.seed, role == self.read, number])
        operations = role(rng, number)
        done = Counter()
        try:
            while next(self.count) < n_operations and not self.errors:
                done[next(operations)] += 1
        except BaseException:
            self.errors.append(traceback.format_exc())
        self.done.update(done)

    # Writers.

    def write(self, rng, number):
        """Change the documents of one writer, and yield what was done."""
        mine, fresh = [], itertools.count()
        for what in drawn(rng, self.WRITES):
            visit = int(rng.integers(1, 400)) if what == "interrupt" else None
            if what == "look":
                self.look(number, mine)
            elif what == "fail":
                self.fail(rng, number, mine)
            elif not mine or (len(mine) < self.BATCHES and (what == "add" or rng.random() < 0.5)):
                mine += self.add(rng, number, fresh, visit)
            else:
                mine = self.remove(rng, mine, visit)
            yield what

    def add(self, rng, number, fresh, visit):
        """Add one batch; a list of the batches that came."""
        ids = [self.new_id(number, next(fresh)) for _ in range(rng.integers(1, 5))]
        batch = {x: draw_document(rng) for x in ids}
        begun = next(self.clock)
        for x, document in batch.items():
            self.lives[x] = Life(document, (number, ids[0]), begun)
        if self.change(self.retriever.partial_fit, rows_of(batch), ids, visit, True):
            now = next(self.clock)
            for x in ids:
                self.lives[x].there = now
            return [ids]
        for x in ids:
            self.lives[x].begun = inf
        return []

    def remove(self, rng, mine, visit):
        """Remove some batches in one call; the batches that are left."""
        going = set(rng.permutation(len(mine))[: rng.integers(1, len(mine) + 1)].tolist())
        ids = [x for i in going for x in mine[i]]
        now = next(self.clock)
        for x in ids:
            self.lives[x].leaving = now
        if self.change(self.retriever.remove, (ids,), ids, visit, False):
            now = next(self.clock)
            for x in ids:
                self.lives[x].gone = now
            return [batch for i, batch in enumerate(mine) if i not in going]
        for x in ids:
            self.lives[x].leaving = inf
        return mine

    def change(self, method, arguments, ids, visit, adds):
        """Whether a change, which may be interrupted, took place."""
        if visit is None:
            method(*arguments)
            return True
        interrupted(lambda: method(*arguments), visit)
        there = set(self.retriever.ids_.tolist()) & set(ids)
        assert len(there) in (0, len(ids)), "an interrupted change took place in part"
        return bool(there) == adds

    def fail(self, rng, number, mine):
        """A call that fails; no document of it has a life, so none may ever be found."""
        X, y = rows_of({self.new_id(number, -1 - i): draw_document(rng) for i in range(3)})
        if rng.random() < 0.5 or not mine:
            X.values[-1] = np.nan
        else:
            y[-1] = mine[0][0]
        assert_refused(lambda: self.retriever.partial_fit(X, y), "NaN", "already in the corpus")

    def look(self, number, mine):
        """Whether this writer's documents are there, which no other thread changes."""
        there = {x for x in self.retriever.ids_.tolist() if self.lives[x].batch[0] == number}
        mine = {x for batch in mine for x in batch}
        assert there == mine, f"lost {mine - there}, left {there - mine}"

    # Readers.

    def read(self, rng, number):
        """Search and copy, and yield what was done."""
        for what in drawn(rng, self.READS):
            start = next(self.clock)
            if what == "hash":
                joblib.hash(self.retriever)
            elif what in ("copy", "pickle"):
                self.copy(rng, what, start)
            else:
                queries = draw_queries(rng, int(rng.integers(1, 4)))
                k = 10**6 if what == "search all" else 5
                found = self.retriever.search(queries, k)
                self.check_search(queries, found, k, start, next(self.clock))
            yield what

    def copy(self, rng, what, start):
        """A copy has what was there, and changing it changes nothing else."""
        mine = self.retriever
        mine = copy.copy(mine) if what == "copy" else pickle.loads(pickle.dumps(mine))
        end, ids = next(self.clock), mine.ids_.tolist()
        self.check_there(ids, start, end)
        gone = [x for x in ids if rng.random() < 0.5]
        new = {self.new_id(8, i): draw_document(rng) for i in range(3)}
        mine.remove(gone).partial_fit(*rows_of(new))
        assert mine.ids_.tolist() == [x for x in ids if x not in set(gone)] + [*new]
        queries = draw_queries(rng, 2)
        found = mine.search(queries, 10**6)
        documents = {x: new[x] if x in new else self.lives[x].document for x in mine.ids_.tolist()}
        for i in range(len(queries)):
            self.check_row(queries.values[i], found, i, documents)

    def check_search(self, queries, found, k, start, end):
        """Whether a search between two ticks may have found this."""
        lives = self.lives.copy()
        for i, ids in enumerate(found.ids.tolist()):
            self.check_there(ids, start, end, all_of_them=k > len(ids))
            self.check_row(queries.values[i], found, i, {x: lives[x].document for x in ids})
        if self.calibrated and k > found.ids.shape[1]:
            directed = any(lives[x].document.rows.any() for x in found.ids[0].tolist())
            np.testing.assert_allclose(found.probabilities.sum(axis=1), directed, atol=1e-5)
            if len(self.kept) < 500:
                self.kept.append((queries, found))

    def check_there(self, ids, start, end, all_of_them=True):
        """Whether an index between two ticks may have had these documents, or all of these."""
        lives, found = self.lives.copy(), set(ids)
        assert len(ids) == len(found), "an id twice"
        assert found <= set(lives), f"never added: {found - set(lives)}"
        for x in found:
            assert lives[x].begun < end, f"{x} was found before it came"
            assert lives[x].gone > start, f"{x} was found after it went"
        if not all_of_them:
            return
        batches = Counter(lives[x].batch for x in found)
        sizes = Counter(life.batch for life in lives.values())
        parts = [batch for batch, n in batches.items() if n != sizes[batch]]
        assert not parts, f"batches were seen in part: {parts}"
        must = {x for x, life in lives.items() if life.there < start and life.leaving > end}
        assert must <= found, f"not found: {must - found}"

    def check_row(self, query, found, i, documents):
        """Whether ids, modalities and scores of one query belong together."""
        ids, scores, modalities = (
            x[i].tolist() for x in (found.ids, found.scores, found.modalities)
        )
        assert modalities == [documents[x].modality for x in ids], "wrong modalities"
        vectors = np.stack([documents[x].vector for x in ids])
        directed = vectors.any(axis=1)
        assert (np.diff(directed.astype(int)) <= 0).all(), "length zero before another"
        assert (np.diff(np.array(scores)[directed]) <= 0).all(), "scores rise"
        if not self.calibrated:
            right = vectors @ (query.astype(float) / np.linalg.norm(query.astype(float)))
            np.testing.assert_allclose(scores, right, atol=1e-6, rtol=0)

    def check_calibrated(self, queries, found):
        """Whether calibrated scores were those of their documents, by the exported vectors.

        The scale of a document and its offset stay, but for the prior of its modality, which
        follows the number of its documents with a direction.
        """
        ids, folded = self.retriever.ids_.tolist(), {}
        for asks in ("query:text", "query:image"):
            folded[asks] = dict(zip(ids, exported_lines(self.retriever, asks)))
        for query, asks, seen, scores, names in zip(
            queries.values.astype(float),
            queries.modality,
            found.ids,
            found.scores,
            found.modalities,
        ):
            query, moved = query / np.linalg.norm(query), {}
            for x, score, name in zip(seen.tolist(), scores, names.tolist()):
                if x in folded[asks] and self.lives[x].document.rows.any():
                    *vector, offset = folded[asks][x]
                    moved.setdefault(name, []).append(score - vector @ query - offset)
            for name, differences in moved.items():
                assert np.ptp(differences) < 1e-3, (
                    f"scores of {name} are not those of the documents"
                )
