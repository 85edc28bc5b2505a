"""Growing: rows to which more are added, and of which some are taken away, in place."""

from dataclasses import dataclass, replace

import numpy as np

from ._array_api import is_writeable, namespace_and_device, put_rows, take_rows, to_numpy

# So many rows move at once: nothing large is allocated that could fail midway.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Growing:
    """Rows of an array, with room behind them for more.

    Each change gives a new one, which mostly shares the memory. Adding rows leaves the one
    before as it was; taking rows away uses it up. The room doubles when it is used up, so
    that a row costs the same however many there are.

    Attributes
    ----------
    held : array of shape (capacity, ...), of any library
        Beyond the first `n` it holds nothing of meaning.
    n : int
        How many rows there are.
    owned : bool
        Whether nobody else reads or writes `held`. If not, a change takes a copy first.
    """

    held: object
    n: int
    owned: bool = True

    @classmethod
    def of(cls, rows):
        """All rows of an array, which is not to be used elsewhere."""
        return cls(rows, rows.shape[0])

    def __len__(self):
        return self.n

    @property
    def rows(self):
        """The rows: a view of shape (n, ...)."""
        return self.held[: self.n, ...]

    def extended(self, more):
        """These rows and then `more`, of the same library.

        The dtype is one that holds both; that of `more` where there are no rows.
        """
        n, dtype = self.n + more.shape[0], self.held.dtype
        if dtype != more.dtype:
            dtype = np.result_type(dtype, more.dtype) if self.n else more.dtype
        grown = self
        if n > self.held.shape[0] or dtype != self.held.dtype or not self._may_write():
            grown = self._moved(max(2 * self.n, n), dtype)
        grown.held[self.n : n, ...] = more
        return replace(grown, n=n)

    def writeable(self):
        """The same rows where they can be overwritten."""
        return self if self._may_write() else self._moved(self.n, self.held.dtype)

    def overwritten(self, at, rows):
        """These rows, which must be writeable, with others at some positions."""
        put_rows(self.held, at, rows)
        return self

    def without(self, cut):
        """These rows, which must be writeable, without some; see `Cut`."""
        for start in range(0, len(cut.holes), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            put_rows(self.held, cut.holes[some], take_rows(self.held, cut.movers[some]))
        return replace(self, n=cut.n)

    def trimmed(self):
        """The same rows without most of the room behind them, where three quarters are room."""
        if 4 * self.n >= self.held.shape[0]:
            return self
        return self._moved(2 * self.n, self.held.dtype)

    def shared(self):
        """The same rows, whose memory somebody else will use as well."""
        return replace(self, owned=False)

    def _may_write(self):
        return self.owned and is_writeable(self.held)

    def _moved(self, capacity, dtype):
        """The same rows in other memory, with room for `capacity`."""
        xp, place = namespace_and_device(self.held)
        held = xp.empty((capacity, *self.held.shape[1:]), dtype=dtype, device=place)
        held[: self.n, ...] = self.rows
        return Growing(held, self.n)

    def __getstate__(self):
        return {"held": to_numpy(self.rows), "n": self.n, "owned": True}


@dataclass(frozen=True)
class Cut:
    """How rows are taken away: the last of those that stay move into the holes.

    Attributes
    ----------
    holes, movers : ndarray of int of shape (n_moved,)
        The row at each mover goes to a hole.
    n : int
        How many rows are left.
    """

    holes: np.ndarray
    movers: np.ndarray
    n: int

    @classmethod
    def of(cls, gone, n_rows):
        """Take away the rows at the distinct positions `gone`."""
        n = n_rows - len(gone)
        movers = np.setdiff1d(np.arange(n, n_rows), gone, assume_unique=True)
        return cls(gone[gone < n], movers, n)
