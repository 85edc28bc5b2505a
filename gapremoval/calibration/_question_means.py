"""Means of queries, in which every question has the same weight, however often it was asked."""

import numpy as np

from .._array_api import row_blocks, take_rows, to_double, to_numpy, unit_rows
from .._repetitions import group_rows, question_weights

# More questions make a mean hardly more exact.
MOST_QUESTIONS = 1024


def sample_questions(values, at, keeps_length):
    """A sample of the questions among some rows, each question once.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)
    at : ndarray of int
        The rows that are queries of one modality.
    keeps_length : bool
        Whether rows keep their length; by default they are scaled to unit length.

    Returns
    -------
    ndarray of float64 of shape (n_questions, n_features)
        At most `MOST_QUESTIONS`. It does not depend on the order of the rows, on how they came
        in batches, or on how often each was repeated.
    """
    questions = np.empty((0, values.shape[1]))
    for rows in unit_blocks(values, at, keeps_length):
        questions = merge_questions([questions, rows])
    return questions


def unit_blocks(values, at, keeps_length):
    """Some rows in float64 on the host, block by block, without rows of length zero.

    Parameters
    ----------
    values : array of shape (n_rows, n_features)
    at : ndarray of int
        The rows.
    keeps_length : bool
        Whether rows keep their length; by default they are scaled to unit length.

    Yields
    ------
    ndarray of float64 of shape (n, n_features)
    """
    for block in row_blocks(np.empty((len(at), values.shape[1]), dtype=np.uint8)):
        rows = to_double(take_rows(values, at[block]), values)
        unit, lengths = unit_rows(rows)
        yield to_numpy(rows if keeps_length else unit)[to_numpy(lengths) > 0]


def merge_questions(samples):
    """A sample of the questions in several samples: those with the smallest lots."""
    rows = np.concatenate(samples)
    if not len(rows):
        return rows
    first, _, lot = group_rows(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return rows[first[np.argsort(lot, kind="stable")[:MOST_QUESTIONS]]]


def question_mean(questions, center):
    """The effective number of questions, and their mean.

    Parameters
    ----------
    questions : ndarray of shape (n_questions, n_features)
    center : ndarray of shape (n_features,) or None
        The mean of similar rows, without which questions are alike; by default their own.

    Returns
    -------
    n : float
    mean : ndarray of float64 of shape (n_features,)
    """
    center = questions.mean(axis=0) if center is None else center
    weights = question_weights(questions, center)
    n = weights.sum()
    return n, weights @ questions / n
