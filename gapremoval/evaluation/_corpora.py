"""Corpora with judged queries: what pipelines are compared on."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.utils import check_random_state

from .._embeddings import EmbeddingArray
from .._items import Query, is_picture
from .._modality import as_query
from .._relevance import check_relevance
from .._validation import read_modality
from .._warnings import shown

DOCUMENT_MODALITIES = ("text", "image", "image+text")


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Documents, and queries whose answers are known.

    It unpacks to the rows and the target of a fit: ``X, y = corpus``. `compare` fits on the
    documents and the queries in `teaching`, without their relevance, and scores the `queries`.
    ``dataclasses.replace(corpus, teaching=...)`` makes a variant.

    Attributes
    ----------
    documents : EmbeddingArray of shape (n_rows, n_features) or list of items
        The parts of the documents, one a row.
    ids : sequence of length n_rows
        The id of the document of each row.
    queries : EmbeddingArray of shape (n_queries, n_features) or list of Query
        The queries that are scored.
    relevance : sequence of length n_queries
        The relevance of each query: an id, a collection of ids or a dict id -> gain.
    teaching : EmbeddingArray or list of Query, default=None
        The queries that pipelines are fitted with. By default `queries`, unjudged. An empty
        one leaves them out.
    teaching_relevance : sequence, default=None
        The relevance of each query in `teaching`; None where it is unknown, as by default.
    calibration : tuple of (X, y), default=None
        The rows and ids that the steps before the retriever are fitted on. By default those of
        the documents, and the queries in `teaching`.
    groups : sequence of length n_queries, default=None
        Queries with equal entries are resampled together in intervals, such as several
        questions about one document. By default each query is one group.
    told : bool, default=False
        Whether each query is searched among the documents of its answer's modality only. That
        is the ceiling of methods that make the scores of different modalities comparable.

    Raises
    ------
    ValueError
        If the numbers of rows, ids, queries and relevances do not match, or an answer is not
        among the documents.

    Examples
    --------
    >>> from gapremoval import EmbeddingArray
    >>> from gapremoval.evaluation import Corpus
    >>> documents = EmbeddingArray([[1, 0], [0, 1]], ["text", "image"])
    >>> corpus = Corpus(documents, ["a", "b"], EmbeddingArray([[3, 4]], "query:text"), ["b"])
    >>> corpus
    Corpus(2 documents, 1 query: 1 answered by image)
    >>> X, y = corpus
    >>> X
    EmbeddingArray(3 rows x 2, int64: 1 text, 1 image, 1 query:text)
    >>> y
    ['a', 'b', 'b']
    """

    documents: object
    ids: object
    queries: object
    relevance: object
    teaching: object = None
    teaching_relevance: object = None
    calibration: object = None
    groups: object = None
    told: bool = False

    def __post_init__(self):
        pairs = [("ids", self.ids, self.documents), ("relevance", self.relevance, self.queries)]
        if self.groups is not None:
            pairs.append(("groups", self.groups, self.queries))
        if self.teaching_relevance is not None:
            pairs.append(("teaching_relevance", self.teaching_relevance, self.taught))
        for name, given, rows in pairs:
            if len(given) != len(rows):
                raise ValueError(f"{name} has {len(given)} entries for {len(rows)} rows.")
        modality_of = self._modality_of_ids()
        relevance = check_relevance(list(self.relevance))
        if None in relevance:
            raise ValueError(
                f"The relevance of query {relevance.index(None)} is unknown, so it has no score: "
                "give such queries in teaching=."
            )
        answers = (x for gains in relevance for x in gains)
        absent = list(dict.fromkeys(x for x in answers if x not in modality_of))
        if absent:
            raise ValueError(
                f"{len(absent)} documents that answer queries are not in the corpus: "
                f"{shown(absent)}. Drop them from the relevance."
            )

    def __repr__(self):
        names, counts = np.unique(self.answer_modality, return_counts=True)
        answered = ", ".join(f"{n} answered by {name}" for name, n in zip(names, counts))
        n_documents, n_queries = len(self._modality_of_ids()), len(self.queries)
        return (
            f"Corpus({n_documents} document{'s' * (n_documents != 1)}, {n_queries} "
            f"quer{'ies' if n_queries != 1 else 'y'}: {answered})"
        )

    def __iter__(self):
        return iter((stack([self.documents, self.queries]), [*self.ids, *self.relevance]))

    @property
    def taught(self):
        """The queries that pipelines are fitted with."""
        return self.queries if self.teaching is None else self.teaching

    @property
    def fitted_rows(self):
        """The rows and the target that pipelines are fitted on, a tuple ``(X, y)``."""
        answers = self.teaching_relevance
        answers = [None] * len(self.taught) if answers is None else answers
        return stack([self.documents, self.taught]), [*self.ids, *answers]

    @property
    def answer_modality(self):
        """The modality of each query's answer, an array of str of shape (n_queries,).

        The modality of a document is its parts' modalities joined by ``+``. It is ``"several"``
        where documents of several modalities answer, and ``""`` where none does.
        """
        modality_of, names = self._modality_of_ids(), []
        for gains in check_relevance(list(self.relevance)):
            found = {modality_of[x] for x, gain in gains.items() if gain > 0}
            names.append("several" if len(found) > 1 else next(iter(found), ""))
        return np.array(names, dtype=object)

    def _modality_of_ids(self):
        """The modality of each document, a dict by id."""
        parts = {}
        for id_, name in zip(self.ids, modalities_of(self.documents)):
            parts.setdefault(id_, set()).add(name)
        return {id_: "+".join(sorted(names)) for id_, names in parts.items()}

    @classmethod
    def from_rows(cls, X, y):
        """Make a corpus of the rows and the target of a fit.

        Parameters
        ----------
        X : EmbeddingArray or list of items
            Documents and queries; raw items that are queries are wrapped in `Query`.
        y : sequence of length n_rows
            Ids of documents, relevance of queries. Queries of unknown relevance teach only.

        Returns
        -------
        Corpus

        Raises
        ------
        ValueError
            If no query is judged, or `X` carries no modalities.
        """
        tags = read_modality(X)
        if tags is None or not tags.is_query.any():
            raise ValueError(
                "There is no query among the rows of a corpus: tag query rows as 'query:text', or "
                "wrap the items in Query, and give their relevance in y."
            )
        at, asked = np.flatnonzero(~tags.is_query), np.flatnonzero(tags.is_query)
        relevance = check_relevance([y[i] for i in asked])
        judged = [i for i, answers in zip(asked, relevance) if answers is not None]
        if not judged:
            raise ValueError("No query of the corpus is judged: give the relevance in y.")
        answers = [x for x in relevance if x is not None]
        return cls(
            take(X, at), [y[i] for i in at], take(X, judged), answers, teaching=take(X, asked)
        )


def mixed_corpus(
    text,
    image,
    *,
    questions,
    proportions=None,
    extra_images=None,
    random_state=None,
):
    """Make a mixed corpus of items with a text and an image, and questions about them.

    Each item becomes one document: its text, its image or both. This is setting 3 of the
    paper (GR-CLIP, arXiv 2507.19054, section 5), for any mix.

    Parameters
    ----------
    text, image : array of shape (n_items, n_features), or list of n_items items
        Embeddings, or raw items for a pipeline that begins with an encoder. Rows of the same
        number belong to the same item.
    questions : array of shape (n_items, n_features) or (n_items, k, n_features), or list
        One question or `k` questions about each item. They are ``query:text`` rows, or those
        of an EmbeddingArray of n_items rows with other query modalities. Of raw items, a list
        of questions or of lists of them. Where some items have no question, or questions several
        answers: a tuple of an EmbeddingArray of questions and their relevance, in numbers of
        items.
    proportions : dict of str to float or sequence of str of length n_items, default=None
        Proportions of ``"text"``, ``"image"`` and ``"image+text"`` documents, or the modality
        of each item's document. By default equal proportions. Numbers are rounded such that
        all items are used, and dealt out at random.
    extra_images : array of shape (n_extra, n_features) or list, default=None
        Images that answer no question, as further documents.
    random_state : int, RandomState instance or None, default=None
        Determines which item becomes which document.

    Returns
    -------
    Corpus
        Ids are the numbers of the items; those of extra images follow.

    Raises
    ------
    ValueError
        If the numbers of texts, images and questions differ, or proportions are not positive
        numbers by these modalities.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.evaluation import mixed_corpus
    >>> text, image, questions = np.random.default_rng(0).normal(size=(3, 10, 4))
    >>> mix = {"text": 1, "image": 4}
    >>> mixed_corpus(text, image, questions=questions, proportions=mix, random_state=0)
    Corpus(10 documents, 10 queries: 8 answered by image, 2 answered by text)
    """
    n_items = len(text)
    queries, relevance, item = _questions(questions)
    if len(image) != n_items or (item is not None and len(questions) != n_items):
        raise ValueError(
            f"text, image and questions must have one entry an item; got {n_items}, {len(image)} "
            f"and {len(questions)}."
        )
    modality = _document_modalities(proportions, n_items, random_state)
    with_text = np.flatnonzero(modality != "image")
    with_image = np.flatnonzero(modality != "text")
    parts = [_rows(text, "text", with_text), _rows(image, "image", with_image)]
    ids = [*with_text.tolist(), *with_image.tolist()]
    if extra_images is not None:
        parts.append(_rows(extra_images, "image", np.arange(len(extra_images))))
        ids += range(n_items, n_items + len(extra_images))
    return Corpus(stack(parts), ids, queries, relevance, groups=item)


def _document_modalities(proportions, n_items, random_state):
    """The modality of each item's document, an array of str."""
    if proportions is None:
        proportions = dict.fromkeys(DOCUMENT_MODALITIES, 1)
    if not isinstance(proportions, Mapping):
        modality = np.asarray(proportions, dtype=object)
        if modality.shape != (n_items,) or not set(modality) <= {*DOCUMENT_MODALITIES}:
            raise ValueError(
                f"proportions must give one of {', '.join(map(repr, DOCUMENT_MODALITIES))} for "
                f"each of {n_items} items, or a dict of numbers by them."
            )
        return modality
    names = list(proportions)
    shares = np.array([x if isinstance(x, Real) else np.nan for x in proportions.values()], float)
    if not {*names} <= {*DOCUMENT_MODALITIES} or not (shares >= 0).all() or not shares.sum() > 0:
        raise ValueError(
            "proportions must be numbers of at least 0, one of them above, by the modalities "
            f"{', '.join(map(repr, DOCUMENT_MODALITIES))}; got {proportions!r}."
        )
    # The borders between modalities are rounded, so every count is within one of its share.
    borders = np.rint(np.cumsum(shares) / shares.sum() * n_items).astype(int)
    modality = np.repeat(np.array(names, dtype=object), np.diff(borders, prepend=0))
    return check_random_state(random_state).permutation(modality)


def _questions(questions):
    """The queries, the relevance of each, and its item unless the relevance was given."""
    if isinstance(questions, tuple) and isinstance(questions[0], EmbeddingArray):
        return *questions, None
    if isinstance(questions, EmbeddingArray):
        queries, item = questions, np.arange(len(questions))
    elif not _is_items(questions):
        questions = np.asarray(questions)
        k = questions.shape[1] if questions.ndim == 3 else 1
        rows = questions.reshape(len(questions) * k, questions.shape[-1])
        queries = EmbeddingArray(rows, "query:text")
        item = np.repeat(np.arange(len(questions)), k)
    else:
        several = [list(x) if isinstance(x, list | tuple) else [x] for x in questions]
        queries = [x if isinstance(x, Query) else Query(x) for some in several for x in some]
        item = np.repeat(np.arange(len(several)), [len(some) for some in several])
    return queries, item.tolist(), item


def pair_corpus(text, image, *, max_items=None, random_state=None):
    """Make a corpus in which every answer lies across the gap.

    Half of the items become text documents and half image documents. Each item asks with its
    other part: image queries are answered by texts, text queries by images.

    Parameters
    ----------
    text, image : array of shape (n_items, n_features)
        Rows of the same number belong to the same item.
    max_items : int, default=None
        The number of items that are drawn, if there are more.
    random_state : int, RandomState instance or None, default=None
        Determines which items are drawn, and which of them become texts.

    Returns
    -------
    Corpus
        Ids are the numbers of the items. `answer_modality` tells the two directions apart.

    Raises
    ------
    ValueError
        If the numbers of texts and images differ.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval.evaluation import pair_corpus
    >>> text, image = np.random.default_rng(0).normal(size=(2, 10, 4))
    >>> pair_corpus(text, image, random_state=0)
    Corpus(10 documents, 10 queries: 5 answered by image, 5 answered by text)
    """
    if len(text) != len(image):
        raise ValueError(f"There are {len(text)} texts and {len(image)} images: give pairs.")
    items = check_random_state(random_state).permutation(len(text))[:max_items]
    told, shown = items[: len(items) // 2], items[len(items) // 2 :]
    return Corpus(
        stack([_rows(text, "text", told), _rows(image, "image", shown)]),
        [*told.tolist(), *shown.tolist()],
        stack([_rows(text, "query:text", shown), _rows(image, "query:image", told)]),
        [*shown.tolist(), *told.tolist()],
        groups=np.concatenate([shown, told]),
    )


def _rows(values, modality, at):
    """Some rows with a tag, or some raw items."""
    if _is_items(values):
        some = take(values, at)
        return [Query(x) for x in some] if modality == as_query(modality) else some
    values = values.values if isinstance(values, EmbeddingArray) else np.asarray(values)
    return EmbeddingArray(values[at], modality)


def _is_items(values):
    """Whether these are raw items, or lists of them, and not rows of numbers."""
    first = values
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    return isinstance(first, str | Query) or is_picture(first)


def modalities_of(rows):
    """The modality of each row; of raw items ``"query"``, ``"image"`` or ``"text"``."""
    if isinstance(rows, EmbeddingArray):
        return rows.modality.tolist()
    names = (
        "query" if isinstance(x, Query) else "image" if is_picture(x) else "text" for x in rows
    )
    return list(names)


def take(rows, at):
    """Some rows of an EmbeddingArray, or some items of a list."""
    return rows[at] if isinstance(rows, EmbeddingArray) else [rows[i] for i in at]


def stack(parts):
    """EmbeddingArrays or lists of items, one after the other."""
    parts = [part for part in parts if len(part)]
    if all(isinstance(part, EmbeddingArray) for part in parts):
        return EmbeddingArray.concatenate(parts)
    return [item for part in parts for item in part]


def sample_rows(rows, size, random_state):
    """The numbers of at most `size` rows of each modality, in their order."""
    random, names = check_random_state(random_state), np.array(modalities_of(rows), dtype=object)
    kept = [random.permutation(np.flatnonzero(names == name))[:size] for name in np.unique(names)]
    return np.sort(np.concatenate(kept))
