"""load_beir: text collections in the file layout of the BEIR benchmark."""

from pathlib import Path

from sklearn.utils import Bunch

from .._items import Query
from .._warnings import shown, warn
from ._retrieval_files import read_jsonl, read_qrels


def load_beir(path, split="test"):
    """Read a text collection in the file layout of BEIR.

    Parameters
    ----------
    path : str or Path
        A folder with ``corpus.jsonl`` (fields ``_id``, ``title``, ``text``), ``queries.jsonl``
        (``_id``, ``text``) and ``qrels/<split>.tsv`` (query, document, gain).
    split : str, default="test"
        Name of the file of relevance, such as ``"test"`` or ``"dev"``. Only the queries that
        it judges are returned.

    Returns
    -------
    collection : Bunch
        With the attributes

        documents : list of str
            Title and text of each document, joined by a blank.
        ids : list of str
            Their ids.
        queries : list of Query
            The queries, which encoders tag ``query:text``.
        query_ids : list of str
            Their ids.
        relevance : list of dict
            For each query its documents and their gains. To be used as ``y`` of the queries.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a line is broken, an id comes twice, a query has no text, or no document has one;
        the message names the file and the line.

    Warns
    -----
    UserWarning
        If documents without any text were left out, or lines of the qrels that name documents
        or queries that do not exist.

    See Also
    --------
    load_mixbench : A benchmark of texts and images.
    render_text : Draws a text, which makes an image document of it.

    References
    ----------
    .. [1] Thakur et al., "BEIR: A heterogeneous benchmark for zero-shot evaluation of
       information retrieval models", NeurIPS 2021.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gapremoval.datasets import load_beir
    >>> with TemporaryDirectory() as folder:
    ...     (Path(folder) / "qrels").mkdir()
    ...     for name, content in {
    ...         "corpus.jsonl": '{"_id": "d1", "title": "Snow", "text": "It is cold."}',
    ...         "queries.jsonl": '{"_id": "q1", "text": "is snow cold"}',
    ...         "qrels/test.tsv": "query-id\\tcorpus-id\\tscore\\nq1\\td1\\t2",
    ...     }.items():
    ...         _ = (Path(folder) / name).write_text(content)
    ...     collection = load_beir(folder)
    >>> collection.documents, collection.ids
    (['Snow It is cold.'], ['d1'])
    >>> collection.queries, collection.relevance
    ([Query('is snow cold')], [{'d1': 2}])
    """
    path = Path(path)
    documents, ids, blank = [], [], []
    for record in read_jsonl(path / "corpus.jsonl", "_id"):
        parts = [_text(record, "title"), _text(record, "text")]
        if text := " ".join(part for part in parts if part):
            documents.append(text)
            ids.append(record.id)
        else:
            blank.append(record.id)
    if not documents:
        raise ValueError(
            f"{path / 'corpus.jsonl'} holds no text: a document has the fields 'title' and 'text'."
        )
    if blank:
        warn(f"{len(blank)} documents of {path} have no text and were left out: {shown(blank)}")
    queries = read_jsonl(path / "queries.jsonl", "_id")
    qrels = path / "qrels" / f"{split}.tsv"
    if not qrels.exists():
        splits = sorted(file.stem for file in qrels.parent.glob("*.tsv"))
        raise FileNotFoundError(
            f"There is no file {qrels}. The splits in this folder are {shown(splits) or 'none'}."
        )
    relevance = read_qrels(qrels, [query.id for query in queries], ids)
    judged = [query for query in queries if query.id in relevance]
    for query in judged:
        if not _text(query, "text"):
            raise ValueError(f"{query.place}: the query has no text.")
    return Bunch(
        documents=documents,
        ids=ids,
        queries=[Query(_text(query, "text")) for query in judged],
        query_ids=[query.id for query in judged],
        relevance=[relevance[query.id] for query in judged],
    )


def _text(record, field):
    """A field without the blanks around it; empty where it is absent."""
    text = record.fields.get(field) or ""
    if not isinstance(text, str):
        raise ValueError(f"{record.place}: {field!r} must be a string; got {text!r}")
    return text.strip()
