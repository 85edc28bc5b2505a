"""When and how the score calibration of an index learns."""

from dataclasses import replace

from sklearn.base import clone

from .._warnings import warn
from ._index import compacted
from ._query_banks import merge_banks, teaching_scores

# More banks than this, of rows that came after the learning, are merged.
MOST_BANKS = 8


def calibrated(index, banks, added, gone, calibration):
    """A snapshot with new documents and their statistics; the calibration learns if it is due.

    Parameters
    ----------
    index : Index
    banks : dict of str to QueryBank
        The example rows that come with the documents.
    added : Documents
    gone : ndarray of int
        Positions of the documents that they replace.
    calibration : ScoreCalibrator
        The one of the index, or an unfitted one.

    Returns
    -------
    Snapshot
    """
    now = index.now
    all_banks = (*now.banks, banks)
    if _is_due(calibration, all_banks, added):
        return learned(index.changed(added, {}, gone), clone(calibration), all_banks)
    documents = {
        name: (now.next_position + number, added.ids[number], vectors)
        for name, (number, vectors) in added.directed.items()
    }
    # By the rows that the other documents' statistics come from.
    statistics = calibration.document_statistics(teaching_scores(now.banks[0], documents))
    after = index.changed(added, statistics, gone)
    if len(all_banks) > MOST_BANKS:
        all_banks = all_banks[0], _merged(all_banks[1:], after)
    return replace(after, banks=all_banks)


def _is_due(calibration, banks, added):
    """Whether there is something to learn: at first, from queries, and about new modalities."""
    if not hasattr(calibration, "query_modalities_"):
        return True
    if any(bank.n_queries for bank in banks[-1].values()):
        return True
    if added.directed.keys() - calibration.document_modalities_ and calibration.query_modalities_:
        return True
    sizes = {}
    for bank in banks:
        for name in bank.keys() - calibration.query_modalities_:
            sizes[name] = sizes.get(name, 0) + len(bank[name].own)
    return max(sizes.values(), default=0) > 1


def learned(snapshot, calibration, banks):
    """The snapshot with a calibration that has learned from banks, and all statistics anew."""
    segments = {
        key: segment if segment.live is None else compacted(segment)
        for key, segment in snapshot.segments.items()
    }
    snapshot = replace(snapshot, segments=segments)
    bank = _merged(banks, snapshot)
    directed = {
        name: [segment.columns[column] for column in ("position", "id", "vectors")]
        for name, segment in snapshot.directed.items()
    }
    statistics = calibration.learn(teaching_scores(bank, directed))
    return replace(snapshot.taught(calibration, statistics), banks=(bank,))


def _merged(banks, documents):
    """One bank of each query modality, for the documents of a Snapshot."""
    names = sorted(set().union(*banks))
    return {
        name: merge_banks([bank[name] for bank in banks if name in bank], documents)
        for name in names
    }


def warn_of_unlearned(snapshot, asked):
    """Warn about query modalities that were given, or all of them, if nothing was learned.

    Parameters
    ----------
    snapshot : Snapshot
        With a calibration that has learned what it could.
    asked : collection of str
        The query modalities that were given.
    """
    calibration = snapshot.calibration
    known = calibration.query_modalities_
    needed = asked if known else set().union(*snapshot.banks)
    missing = sorted(x for x in needed if x not in known and snapshot.score_map(x) is None)
    if missing:
        warn(
            f"{type(calibration).__name__} learned nothing yet about "
            f"{', '.join(map(repr, missing))}, whose scores stay plain cosines. It needs a "
            "document and two different rows of nonzero length: queries, or documents of the same "
            f"modality. Add some, judged or not: partial_fit(rows, [None] * len(rows), "
            f"modality={missing[-1]!r})."
        )
