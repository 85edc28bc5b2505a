"""Streaming, mergeable statistics of each modality, from which calibrators are fitted."""

from dataclasses import dataclass, field

import numpy as np
from array_api_compat import is_numpy_array
from scipy.linalg import qr
from scipy.sparse import csc_array

from .._array_api import (
    divisible_rows,
    namespace_and_device,
    row_blocks,
    row_spans,
    to_double,
    to_numpy,
    unit_rows,
)
from .._modality import is_query, parts_of
from .._threads import threaded_map
from .._validation import check_lengths, checked_lengths, compute_dtype
from ._centers import residual
from ._question_means import merge_questions, sample_questions, unit_blocks

# Rows of a numpy array are summed in groups of this size in their own precision, and the sums
# of groups in float64. Groups begin at fixed rows, so the result does not depend on blocks or
# threads.
GROUP = 64


@dataclass(frozen=True)
class Moments:
    """What calibrators keep of the rows of each modality; two of them pool to a third.

    Attributes
    ----------
    counts : dict of str to int
        Number of unit rows, without rows of length zero.
    means : dict of str to ndarray of float64 of shape (n_features,)
        Their means.
    questions : dict of str to ndarray of float64 of shape (n_questions, n_features)
        A sample of the questions of each query modality.
    roots : dict of str to ndarray of float64 of shape (n, n_features)
        Matrices ``R`` such that ``R.T @ R`` is the scatter of the rows about their mean. Empty
        if no second moments were asked for.
    """

    counts: dict = field(default_factory=dict)
    means: dict = field(default_factory=dict)
    questions: dict = field(default_factory=dict)
    roots: dict = field(default_factory=dict)

    @classmethod
    def of(cls, rows, *, with_roots=False):
        """The moments of `Rows`, and the lengths of these as from `unit_moments`."""
        values, tags = rows.values, rows.tags
        scaled = [len(parts_of(name)) == 1 for name in tags.names]
        counts, means, lengths = unit_moments(values, tags.codes, scaled)
        moments = cls()
        for name in tags.counts():
            code = tags.names.index(name)
            moments.counts[name] = int(counts[code])
            moments.means[name] = means[code]
            at, keeps_length = np.flatnonzero(tags.codes == code), not scaled[code]
            if is_query(name):
                moments.questions[name] = sample_questions(values, at, keeps_length)
            if with_roots:
                moments.roots[name] = _scatter_root(values, at, keeps_length, means[code])
        return moments, lengths

    def pooled(self, other):
        """The moments of the rows of both."""
        questions, roots = dict(self.questions), dict(self.roots)
        for name, rows in other.questions.items():
            questions[name] = merge_questions([questions.get(name, rows[:0]), rows])
        for name, root in other.roots.items():
            if name in roots:
                n, more = self.counts[name], other.counts[name]
                shift = np.sqrt(n * more / max(n + more, 1))
                shift = shift * (self.means[name] - other.means[name])
                root = _short_root(np.concatenate([roots[name], root, shift[None]]))
            roots[name] = root
        pooled = pool_means(self.counts, self.means, other.counts, other.means)
        return Moments(*pooled, questions, roots)


def _scatter_root(values, at, keeps_length, mean):
    """A root of the scatter of some rows about their mean."""
    root = np.empty((0, values.shape[1]))
    for rows in unit_blocks(values, at, keeps_length):
        root = _short_root(np.concatenate([root, residual(rows, mean)]))
    return root


def _short_root(root):
    """A root of the same scatter, with at most twice as many rows as features."""
    n_features = root.shape[1]
    return root if len(root) <= 2 * n_features else qr(root, mode="r")[0][:n_features]


def unit_moments(values, codes, scaled):
    """Count and mean of the unit-length rows of each modality, in one pass.

    Parameters
    ----------
    values : array of shape (n_rows, n_features), floating
        Rows of any array library, read block by block.
    codes : ndarray of int of shape (n_rows,)
        The modality of each row, below ``len(scaled)``.
    scaled : sequence of bool
        For each modality, whether its rows are scaled to unit length first.

    Returns
    -------
    counts : ndarray of int of shape (n_modalities,)
        The number of rows that do not have length zero.
    means : ndarray of float64 of shape (n_modalities, n_features)
        Their means; zero if there are none.
    lengths : array of shape (n_rows,) or None
        The lengths of the rows, in float32 or float64; None for other libraries than numpy.

    Raises
    ------
    ValueError
        If a row holds NaN or infinity.
    """
    # With many modalities, the sums of groups would take as much memory as the rows.
    is_host = is_numpy_array(values)
    by_group = is_host and len(scaled) <= GROUP // 4
    in_groups = values.shape[0] // GROUP * GROUP if by_group else 0
    counts = np.zeros(len(scaled), dtype=np.int64)
    sums = np.zeros((len(scaled), values.shape[1]))
    lengths = np.empty(len(values), compute_dtype(values)) if is_host else None

    def of_span(rows):
        return _grouped_moments(values[rows], codes[rows], scaled, rows.start, lengths[rows])

    spans = threaded_map(of_span, row_spans(values[:in_groups, ...], multiple=GROUP))
    for more_counts, more_sums in spans:
        counts += more_counts
        sums += more_sums
    rest = _exact_moments(values[in_groups:, ...], codes[in_groups:], scaled, in_groups)
    if is_host:
        lengths[in_groups:] = checked_lengths(values[in_groups:])
    counts, sums = counts + rest[0], sums + rest[1]
    return counts, sums / np.maximum(counts, 1)[:, None], lengths


def _grouped_moments(values, codes, scaled, first_row, lengths):
    """Counts and sums of whole groups of rows; fills `lengths` with the lengths of the rows."""
    n_modalities, dtype = len(scaled), lengths.dtype
    keeps_length = None if all(scaled) else ~np.asarray(scaled, bool)
    chosen, sums = None, np.zeros((n_modalities, values.shape[1]))
    for rows in row_blocks(values, multiple=GROUP):
        block = np.ascontiguousarray(values[rows], dtype)
        code = codes[rows].astype(np.int32)
        kept = None if keeps_length is None else keeps_length[code]
        block, divisors, lengths[rows] = divisible_rows(block, kept)
        n_groups = len(block) // GROUP
        if chosen is None or chosen.shape[1] != len(block):
            first_modality = np.repeat(np.arange(n_groups, dtype=np.int32) * n_modalities, GROUP)
            # One column per row, whose single entry adds the row to the sum of its group.
            chosen = csc_array(
                (divisors, first_modality, np.arange(len(block) + 1, dtype=np.int32)),
                shape=(n_groups * n_modalities, len(block)),
            )
            # Allocated for each block, these would cost more than the additions.
            addends = np.empty((1 + n_groups, *sums.shape))
        # A new sparse array for each block would cost half as much as the sums.
        chosen.indices = first_modality + code
        chosen.data = np.divide(1, divisors, out=np.zeros_like(divisors), where=divisors > 0)
        addends[0] = sums
        addends[1:] = (chosen @ block).reshape(n_groups, *sums.shape)
        np.sum(addends, axis=0, out=sums)
    check_lengths(lengths, first_row=first_row)
    counts = np.bincount(codes, minlength=n_modalities)
    return counts - np.bincount(codes[lengths == 0], minlength=n_modalities), sums


def _exact_moments(values, codes, scaled, first_row):
    """Counts and sums in float64, for an array of any library."""
    xp, place = namespace_and_device(to_double(values[:0, ...], values))
    keeps_length = xp.asarray(~np.asarray(scaled, bool), device=place)
    sums = xp.zeros((len(scaled), values.shape[1]), dtype=xp.float64, device=place)
    counts = np.zeros(len(scaled), dtype=np.int64)
    for rows in row_blocks(values, multiple=GROUP):
        block = to_double(values[rows, ...], values)
        code = xp.asarray(codes[rows].astype(np.int64), device=place)
        unit, lengths = unit_rows(block)
        check_lengths(lengths, first_row=first_row + rows.start)
        if bool(xp.any(keeps_length)):
            unit = xp.where(xp.take(keeps_length, code)[:, None], block, unit)
        for group in range(len(scaled)):
            members = xp.nonzero((code == group) & (lengths > 0))[0]
            counts[group] += members.shape[0]
            sums[group, ...] += xp.sum(xp.take(unit, members, axis=0), axis=0)
    return counts, to_numpy(sums)


def pool_means(counts, means, more_counts, more_means):
    """Pool the counts and means of two sets of rows, each a dict by modality.

    Returns
    -------
    counts : dict of str to int
    means : dict of str to ndarray of float64 of shape (n_features,)
    """
    counts, means = dict(counts), dict(means)
    for name, n in more_counts.items():
        before = counts.get(name, 0)
        counts[name] = before + n
        if name in means and before + n:
            share = n / (before + n)
            means[name] = means[name] * (1 - share) + more_means[name] * share
        else:
            means[name] = more_means[name]
    return counts, means
