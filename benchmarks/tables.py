"""Markdown tables, and the warnings that small corpora cause on purpose."""

import re
import warnings

import numpy as np
from joblib import Parallel, delayed

EXPECTED = "Few rows|.*comes from the prior alone|No query has been seen"


def quiet():
    """Leave out the warnings that are meant to be: some corpora hold few rows."""
    warnings.filterwarnings("ignore", message=EXPECTED)


def row_of(comparison, **keys):
    """The one row with these values."""
    for key, value in keys.items():
        comparison = comparison[comparison[key] == value]
    return comparison.iloc[0]


def interval(row, digits=3, sign=False):
    """A mean and half of its 95 % interval, as text."""
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{row['mean']:{form}} ± {(row['high'] - row['low']) / 2:.{digits}f}"


def standard_error(values):
    """That of the mean over the first axis."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def signed(values, digits=4):
    """The mean of differences with its standard error, as text."""
    return f"{np.mean(values):+.{digits}f} ± {standard_error(values):.{digits}f}"


def print_table(title, header, rows):
    """A heading and a table in Markdown."""
    print(f"\n**{title}**\n")
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        cells = (re.sub(r"\bnan\b", "", str(cell)) for cell in row)
        print("| " + " | ".join(cells) + " |", flush=True)


def each(function, jobs):
    """The results of ``function(*job)``, in parallel inside ``joblib.parallel_config``."""
    return Parallel()(delayed(_quietly)(function, job) for job in jobs)


def _quietly(function, job):
    with warnings.catch_warnings():
        quiet()
        return function(*job)
