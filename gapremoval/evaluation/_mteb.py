"""Pipelines as models of mteb, and MixBench as one of its tasks."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from joblib import hash as content_hash
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .._items import Query, is_missing
from .._optional import import_optional, import_pillow
from .._search import search
from .._version import __version__
from .._warnings import shown, warn
from ..datasets import explode_documents, load_mixbench

MODALITIES = ("text", "image")
# Parameters that belong to a machine.
LOCAL = {"batch_size", "device", "memory", "n_jobs", "transform_input", "verbose"}


class MtebSearch:
    """A pipeline as a model that ``mteb.evaluate`` takes.

    mteb (the massive text embedding benchmark, version 2.26 or later) gives a model that
    searches the corpus as it is, before its own batches, which need a text and an image in every
    document. So tasks whose documents are texts, images or both can be evaluated.

    The pipeline is fitted on the corpus of each task, without its queries. Typical queries may be
    given as `teaching`.

    Needs mteb: ``pip install 'gapremoval[mteb]'``.

    Parameters
    ----------
    estimator : Pipeline
        An unfitted pipeline that begins with an encoder and ends in a retriever, such as from
        `make_search_pipeline`. It is cloned.
    name : str
        Name of the model in mteb's results, such as ``"my-team/ViT-B-32-calibrated"``.
    teaching : sequence of str, picture or Query, default=()
        Typical queries, which the pipeline is fitted with, without relevance. They must not be
        the queries of the task, if its figures are to be compared with those of others.

    Raises
    ------
    TypeError
        If `estimator` is not a Pipeline of an encoder and a retriever.

    See Also
    --------
    mixbench_task : MixBench as a task.
    compare : Compares pipelines without mteb, with intervals.

    Notes
    -----
    mteb keeps results by name and revision. The revision is a checksum of the parameters and of
    `teaching`, so pipelines that differ are never taken for each other. ``batch_size`` and
    progress bars in ``encode_kwargs`` are ignored: the encoder has parameters of its own.

    Scores descend strictly, by the smallest steps that trec_eval tells apart, so that mteb ranks
    documents of equal scores as the pipeline does, by insertion.

    References
    ----------
    .. [1] Enevoldsen et al., "MMTEB: Massive multilingual text embedding benchmark", ICLR 2025.

    Examples
    --------
    >>> import mteb  # doctest: +SKIP
    >>> from gapremoval import CLIPEncoder, make_search_pipeline
    >>> from gapremoval.evaluation import MtebSearch, mixbench_task
    >>> model = MtebSearch(make_search_pipeline(CLIPEncoder("pocket")), "me/pocket")
    >>> task = mixbench_task("MixBench25/MSCOCO")  # doctest: +SKIP
    >>> result = mteb.evaluate(model, task)  # doctest: +SKIP
    >>> result.to_dataframe()  # doctest: +SKIP
    """

    def __init__(self, estimator, name, *, teaching=()):
        if not isinstance(estimator, Pipeline) or len(estimator) < 2:
            raise TypeError(
                "MtebSearch takes a Pipeline that begins with an encoder and ends in a retriever, "
                f"such as make_search_pipeline(CLIPEncoder(...)); got {estimator!r}."
            )
        self.estimator = estimator
        self.name = name
        self.teaching = [x if isinstance(x, Query) else Query(x) for x in teaching]

    @property
    def mteb_model_meta(self):
        """Name, revision and modalities, a ``mteb.models.ModelMeta``."""
        models = import_optional("mteb.models", extra="mteb", purpose="MtebSearch")
        taught = [(query.item, query.text, query.image) for query in self.teaching]
        fields = {
            "name": self.name,
            "revision": content_hash([__version__, _identity(self.estimator), taught]),
            "modalities": [*MODALITIES],
            "use_instructions": False,
        }
        return models.ModelMeta.create_empty(overwrites=fields)

    def index(self, corpus, *, encode_kwargs=None, **task):
        """Fit the pipeline on a corpus.

        Parameters
        ----------
        corpus : datasets.Dataset
            With a column ``id``, and ``text`` (and ``title``), ``image`` or both.
        encode_kwargs : dict, default=None
            Parameters for mteb's own encoders. ``precision`` is refused.
        **task : object
            What mteb tells about the task; ignored.

        Raises
        ------
        ValueError
            If the corpus has modalities other than texts and images.

        Warns
        -----
        UserWarning
            If documents are empty: they are not indexed.
        """
        if (encode_kwargs or {}).get("precision"):
            raise ValueError("MtebSearch has no use for precision: set that of the encoder.")
        records = _records(corpus)
        if empty := [record["id"] for record in records if _is_empty(record)]:
            warn(f"{len(empty)} documents are empty and were not indexed: {shown(empty)}")
        items, ids = explode_documents(x for x in records if not _is_empty(x))
        unknown = [None] * len(self.teaching)
        self.estimator_ = clone(self.estimator).fit([*items, *self.teaching], [*ids, *unknown])

    def search(self, queries, *, top_k, top_ranked=None, **task):
        """Search the corpus.

        Parameters
        ----------
        queries : datasets.Dataset
            With a column ``id``, and ``text`` (and ``instruction``), ``image`` or both.
        top_k : int
            Number of documents per query.
        top_ranked : dict of str to list of str, default=None
            The documents to rank for each query; by default all of them.
        **task : object
            What mteb tells about the task; ignored.

        Returns
        -------
        dict of str to dict of str to float
            For each query the documents that were found, and their scores.

        Raises
        ------
        ValueError
            If a query is empty, or has modalities other than texts and images.
        """
        records = _records(queries)
        if empty := [record["id"] for record in records if _is_empty(record)]:
            raise ValueError(f"{len(empty)} queries are empty: {shown(empty)}.")
        asked = [Query(text=record["text"], image=record["image"]) for record in records]
        rows, retriever = self.estimator_[:-1].transform(asked), self.estimator_[-1]
        ids = [record["id"] for record in records]
        if top_ranked is None:
            return _run(ids, search(retriever, rows, top_k))
        found, known = {}, set(retriever.ids_.tolist())
        for i, id_ in enumerate(ids):
            among = [x for x in top_ranked[id_] if x in known]
            found |= _run([id_], search(retriever, rows[[i]], top_k, among=among))
        return found


def _records(dataset):
    """Id, text and image of each row; None where there is none."""
    datasets = import_optional("datasets", extra="mteb", purpose="MtebSearch")
    if other := {"audio", "video"} & {*dataset.column_names}:
        raise ValueError(
            f"The dataset has the column {shown(sorted(other))}: MtebSearch takes texts and images."
        )
    if isinstance(dataset.features.get("image"), datasets.Image):
        # Decoded, all images of a corpus would be in memory at once.
        dataset = dataset.cast_column("image", datasets.Image(decode=False))
    records = []
    for row in dataset:
        # As mteb itself joins them.
        parts = [row.get("title"), row.get("text"), row.get("instruction")]
        text = " ".join(part.strip() for part in parts if not is_missing(part)).strip() or None
        records.append({"id": row["id"], "text": text, "image": _picture(row.get("image"))})
    return records


def _picture(image):
    """The image of a cell: a file, or an image that is not decoded yet."""
    if not isinstance(image, dict):
        return None if is_missing(image) else image
    if image["bytes"] is None:
        return Path(image["path"])
    return import_pillow().open(BytesIO(image["bytes"]))


def _is_empty(record):
    return record["text"] is None and record["image"] is None


def _run(query_ids, found):
    """Scores by document by query, strictly descending as trec_eval's numbers of 32 bits."""
    scores = found.scores.astype(np.float32)
    for rank in range(1, scores.shape[1]):
        above = np.nextafter(scores[:, rank - 1], np.float32(-np.inf))
        scores[:, rank] = np.minimum(scores[:, rank], above)
    rows = zip(query_ids, found.ids.tolist(), scores.tolist())
    return {id_: dict(zip(documents, values)) for id_, documents, values in rows}


def mixbench_task(path, *, qrels=None):
    """Make a task of mteb of a subset of MixBench.

    Parameters
    ----------
    path, qrels : str or Path
        As in `load_mixbench`. The task is named after the folder: ``MixBenchGoogleWIT``.

    Returns
    -------
    mteb.abstasks.AbsTaskRetrieval
        A task for ``mteb.evaluate``. Its main score is NDCG@10, which mteb rounds to five
        digits. Further scores are not rounded: ``ndcg_at_10_all``, and ``ndcg_at_10_text``,
        ``ndcg_at_10_image`` and ``ndcg_at_10_image+text`` of the queries whose answer has that
        modality.

    Raises
    ------
    FileNotFoundError, ValueError
        As from `load_mixbench`.
    ImportError
        If mteb is not installed.

    Warns
    -----
    UserWarning
        As from `load_mixbench`.

    See Also
    --------
    MtebSearch : A pipeline as a model of mteb.

    Examples
    --------
    >>> from gapremoval.evaluation import mixbench_task
    >>> task = mixbench_task("MixBench25/Google_WIT")  # doctest: +SKIP
    >>> task.metadata.name  # doctest: +SKIP
    'MixBenchGoogleWIT'
    """
    abstasks = import_optional("mteb.abstasks", extra="mteb", purpose="mixbench_task")
    from mteb.abstasks.task_metadata import TaskMetadata

    subset = load_mixbench(path, qrels=qrels)
    corpus = {}
    for id_, item in zip(subset.ids, subset.documents):
        part = "text" if isinstance(item, str) else "image"
        corpus.setdefault(id_, {"id": id_, "text": None, "image": None})[part] = item
    queries = [_query_record(*x) for x in zip(subset.query_ids, subset.queries)]
    relevance = {i: x for i, x in zip(subset.query_ids, subset.relevance) if x is not None}
    has_images = any(record["image"] is not None for record in queries)
    name = Path(path).absolute().name.replace("_", "")
    revision = content_hash([_content([*corpus.values(), *queries]), relevance])

    class MixBench(abstasks.AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=f"MixBench{name}",
            description="Search in a corpus of texts, images and documents that have both.",
            reference="https://arxiv.org/abs/2507.19054",
            # mteb takes results of another revision for those of other data.
            dataset={"path": name, "revision": revision},
            type="Any2AnyRetrieval",
            category="it2it" if has_images else "t2it",
            modalities=[*MODALITIES],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, num_proc=None, **kwargs):
            split = {
                "corpus": _dataset(corpus.values(), MODALITIES),
                "queries": _dataset(queries, MODALITIES if has_images else ("text",)),
                "relevant_docs": relevance,
                "top_ranked": None,
            }
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

        def task_specific_scores(self, scores, qrels, results, hf_split, hf_subset):
            values = {}
            for query, answers in qrels.items():
                parts = {x for id_ in answers for x in _parts(corpus[id_])}
                for key in ("all", "+".join(sorted(parts))):
                    values.setdefault(key, []).append(scores[query]["ndcg_cut_10"])
            return {f"ndcg_at_10_{key}": float(np.mean(x)) for key, x in values.items()}

    return MixBench()


def _query_record(id_, query):
    item = query.item
    text, image = (item, None) if isinstance(item, str) else (query.text, query.image or item)
    return {"id": id_, "text": text, "image": image}


def _parts(record):
    return [part for part in MODALITIES if record[part] is not None]


def _content(records):
    """What records hold, with a checksum of each image."""
    return [
        {key: _checksum(x) if key == "image" and x is not None else x for key, x in record.items()}
        for record in records
    ]


def _checksum(image):
    content = image.read_bytes() if isinstance(image, Path) else image.fp.getvalue()
    return sha256(content).hexdigest()


def _identity(estimator):
    """The classes and parameters of an estimator, but for those that change no result."""
    return {
        name: type(value).__qualname__ if hasattr(value, "get_params") else value
        for name, value in estimator.get_params().items()
        if name != "steps" and name.rpartition("__")[2] not in LOCAL
    }


def _dataset(records, modalities):
    datasets = import_optional("datasets", extra="mteb", purpose="mixbench_task")
    features = {"id": datasets.Value("string"), "text": datasets.Value("string")}
    if "image" in modalities:
        features["image"] = datasets.Image()
    rows = [
        {key: _cell(x) if key == "image" else x for key, x in record.items() if key in features}
        for record in records
    ]
    return datasets.Dataset.from_list(rows, features=datasets.Features(features))


def _cell(image):
    """An image as `datasets` stores it: the name of its file, or the bytes that it came in."""
    if image is None or isinstance(image, Path):
        return image and str(image)
    return {"bytes": image.fp.getvalue(), "path": None}
