"""Cross-validation that folds queries and keeps every document."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator, KFold

from .._validation import HOW_TO_TAG, read_modality


class QueryKFold(BaseCrossValidator):
    """K folds over the queries; the documents are in every training set.

    A retriever cannot find a document that was held out, so the usual splitters measure
    how much of the corpus is missing. Here each fold trains on all documents and the other
    folds' queries, and tests on its own queries.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2 and at most the number of queries.
    shuffle : bool, default=False
        Whether the queries are shuffled before they are dealt out.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; only with ``shuffle=True``.

    See Also
    --------
    FusionWeightSearchCV : Uses this splitter by default.
    make_ranking_scorer : Other metrics than NDCG@10.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import EmbeddingArray, QueryKFold
    >>> X = EmbeddingArray(np.eye(4), ["text", "image", "query:text", "query:text"])
    >>> for train, test in QueryKFold(2).split(X):
    ...     print(train, test)
    [0 1 3] [2]
    [0 1 2] [3]
    """

    # A plain class would be passed no metadata, whatever its signature.
    __metadata_request__split = {"modality": True}
    __metadata_request__get_n_splits = {"modality": True}

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(self, X, y=None, groups=None, *, modality=None):
        """Yield the row numbers of each fold.

        Parameters
        ----------
        X : EmbeddingArray, list of items or array of shape (n_rows, n_features)
            Documents and queries; raw items that are queries are wrapped in `Query`.
        y, groups : object, default=None
            Ignored.
        modality : str or sequence of str of shape (n_rows,), default=None
            The modality of each row, if `X` does not carry it.

        Yields
        ------
        train, test : ndarray of int
            All documents and the other queries; this fold's queries.

        Raises
        ------
        ValueError
            If `X` carries no modality and none is given, there are fewer queries than folds,
            or `n_splits` is below 2.
        """
        tags = read_modality(X, modality)
        if tags is None or not tags.is_query.any():
            raise ValueError(
                "QueryKFold found no query among the rows. Tag query rows as 'query:text' (or wrap "
                "the items in Query) and give their relevant documents in y."
                + (f" These rows carry no modality at all. {HOW_TO_TAG}" if tags is None else "")
            )
        documents, queries = np.flatnonzero(~tags.is_query), np.flatnonzero(tags.is_query)
        if not isinstance(self.n_splits, Integral) or not 2 <= self.n_splits <= len(queries):
            raise ValueError(
                f"n_splits={self.n_splits!r} must be an integer, at least 2 and at most the "
                f"number of queries, {len(queries)}."
            )
        folds = KFold(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
        for learn, test in folds.split(queries):
            yield np.concatenate([documents, queries[learn]]), queries[test]

    def get_n_splits(self, X=None, y=None, groups=None, *, modality=None):
        """The number of folds.

        Parameters
        ----------
        X, y, groups, modality : object, default=None
            Ignored.

        Returns
        -------
        int
            The parameter `n_splits`.
        """
        return self.n_splits
