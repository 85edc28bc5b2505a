"""Entries: which documents a corpus has, in the order in which they were added."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._growing import Growing
from .._relevance import check_known, kind_of_ids

# Where a document lies that has length zero and so no row, and one that was removed.
UNDIRECTED, REMOVED = -1, -2


@dataclass(frozen=True, eq=False)
class Entries:
    """An entry for each document. A change makes new ones and uses these up.

    A document keeps its number for good; its entry is dropped when more than half are of
    documents that were removed.

    Attributes
    ----------
    id, code, row, number : Growing of shape (n_entries,)
        The id of each document; its modality, as a place in `names`; its row among those of
        its modality, or `UNDIRECTED` or `REMOVED`; its number, ascending.
    names : tuple of str
        Modalities, some perhaps without documents.
    n_removed : int
        How many entries are of documents that were removed.
    next_number : int
    numbers : dict of id to int, or None
        The number of each document, once it was asked for; handed on and kept up to date.
    """

    id: Growing
    code: Growing
    row: Growing
    number: Growing
    names: tuple
    n_removed: int = 0
    next_number: int = 0
    numbers: dict | None = None

    @classmethod
    def none(cls):
        """Those of an empty corpus."""
        code, row, number = (Growing.of(np.empty(0, x)) for x in (np.int32, np.int64, np.int64))
        return cls(Growing.of(np.empty(0, dtype=object)), code, row, number, ())

    def __len__(self):
        """The number of documents."""
        return len(self.id) - self.n_removed

    # Changes.

    def check_new(self, ids):
        """Raise if documents with some ids cannot be added.

        Raises
        ------
        ValueError
            If their type is not that of the others, or some are there.
        """
        if len(self) and kind_of_ids(self.id.rows) != kind_of_ids(ids):
            raise ValueError(
                f"The new ids are of another type ({ids.tolist()[0]!r}) than those of the corpus "
                f"({self.ids[:1].tolist()[0]!r}): use the same type."
            )
        numbers = self._numbers()
        if twice := [x for x in ids.tolist() if x in numbers]:
            shown = ", ".join(map(repr, twice[:5])) + (", ..." if len(twice) > 5 else "")
            raise ValueError(
                f"{len(twice)} of the new documents are already in the corpus: {shown}. Remove "
                "them first; all parts of a document come in one call."
            )

    def extended(self, ids, names, codes, rows):
        """These and then those of documents of which `check_new` was told."""
        numbers = self.next_number + np.arange(len(ids))
        names_now = tuple(dict.fromkeys([*self.names, *names]))
        recoded = np.array([names_now.index(name) for name in names], dtype=np.int32)[codes]
        longer = replace(
            self,
            id=self.id.extended(ids),
            code=self.code.extended(recoded),
            row=self.row.extended(rows),
            number=self.number.extended(numbers),
            names=names_now,
            next_number=self.next_number + len(ids),
        )
        if self.numbers is not None:
            self.numbers.update(zip(ids.tolist(), numbers.tolist()))
        return longer

    def writeable(self):
        """The same entries, whose rows can be overwritten."""
        return replace(self, row=self.row.writeable())

    def without(self, entries, moved, rows):
        """These, which must be writeable, without some; others have moved to other rows."""
        numbers, gone = self._numbers(), self.id.rows[entries].tolist()
        at = np.concatenate([moved, entries])
        rows = np.concatenate([rows, np.full(len(entries), REMOVED)])
        n_removed = self.n_removed + len(entries)
        shorter = replace(self, row=self.row.overwritten(at, rows), n_removed=n_removed)
        for x in gone:
            del numbers[x]
        return shorter

    def trimmed(self):
        """The same without the entries of what was removed, where these are more than half."""
        if 2 * self.n_removed <= len(self.id):
            return self
        kept = {key: Growing.of(column.rows[self._stays]) for key, column in self._columns()}
        return replace(self, **kept, n_removed=0)

    def shared(self):
        """The same entries, for somebody else who may change them."""
        mine = {key: column.shared() for key, column in self._columns()}
        return replace(self, **mine, numbers=None)

    def _columns(self):
        return [(key, getattr(self, key)) for key in ("id", "code", "row", "number")]

    # Looking up.

    @cached_property
    def _stays(self):
        return self.row.rows != REMOVED

    def _numbers(self):
        """`numbers`, made at the first change: they take more memory than the ids."""
        if self.numbers is None:
            numbers = self.number.rows[self._stays].tolist()
            vars(self)["numbers"] = dict(zip(self.ids.tolist(), numbers))
        return self.numbers

    @cached_property
    def ids(self):
        """The ids of all documents."""
        return self.id.rows[self._stays] if self.n_removed else self.id.rows

    @cached_property
    def modality(self):
        """Their modalities: ndarray of str of shape (n_documents,)."""
        return np.array(self.names)[self.code.rows[self._stays]]

    @cached_property
    def undirected(self):
        """The entries of documents of length zero, ascending."""
        return np.flatnonzero(self.row.rows == UNDIRECTED)

    def find(self, ids):
        """The entries of some ids, each once.

        Raises
        ------
        ValueError
            If some are not there.
        """
        numbers, ids = self._numbers(), list(dict.fromkeys(ids))
        if any(x not in numbers for x in ids):
            check_known(ids, self.ids, what="call to remove")
        return self.at(np.array([numbers[x] for x in ids], dtype=np.int64))

    def at(self, numbers):
        """The entries of documents with some numbers, which are there."""
        if len(self.number) == self.next_number:
            return numbers
        return np.searchsorted(self.number.rows, numbers)

    def ids_of(self, numbers):
        """The ids of documents with some numbers."""
        return self.id.rows[self.at(numbers)]

    def modality_of(self, numbers):
        """The modalities of documents with some numbers."""
        return np.array(self.names)[self.code.rows[self.at(numbers)]]

    def places_of(self, numbers):
        """The places in `ids` of documents with some numbers."""
        entries = self.at(numbers)
        return self._places[entries] if self.n_removed else entries

    @cached_property
    def _places(self):
        return np.cumsum(self._stays) - 1

    def __getstate__(self):
        state = {name: vars(self)[name] for name in self.__dataclass_fields__}
        return {**state, "numbers": None}
