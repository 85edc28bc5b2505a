"""load_mixbench: the benchmark for search in a corpus that mixes texts and images."""

from collections import Counter
from io import BytesIO
from pathlib import Path

from sklearn.utils import Bunch

from .._items import Query
from .._optional import import_optional, import_pillow
from .._warnings import shown, warn
from ._records import explode_documents
from ._retrieval_files import (
    Record,
    check_content,
    check_id,
    check_unique,
    is_pointer,
    read_jsonl,
    read_qrels,
)

# What the authors published: queries, documents, and documents of each modality in the mix.
PUBLISHED = {
    "MSCOCO": {"queries": 984, "documents": 984, "text": 328, "image": 328, "image+text": 328},
    "Google_WIT": {
        "queries": 1000,
        "documents": 4421,
        "text": 1473,
        "image": 1473,
        "image+text": 1475,
    },
    "VisualNews": {"queries": 981, "documents": 981, "text": 327, "image": 327, "image+text": 327},
    "OVEN": {"queries": 1000, "documents": 1000, "text": 333, "image": 333, "image+text": 334},
}


def load_mixbench(path, *, qrels=None):
    """Read a subset of MixBench, of the release of 2025 or of 2026.

    MixBench asks short texts (in OVEN a text and an image) of a corpus in which a third of the
    documents are texts, a third images, and a third have both. The release of 2025 has JSON
    lines and image files, and the pairs that the corpus was made from. That of 2026 has Parquet
    files with the images in them, and no relevance.

    Parameters
    ----------
    path : str or Path
        The folder of one subset, such as ``MixBench25/MSCOCO``. It holds ``queries`` and
        ``mixed_corpus``, and ``corpus`` if it has pairs, as ``.jsonl`` or as ``.parquet`` (which
        needs pyarrow). Where the folder bears the name of a subset, its counts are compared
        with those that were published.
    qrels : str or Path, default=None
        The file of relevance, or the folder of the same subset of the release of 2025. By
        default ``qrels/qrels.tsv`` in `path`.

    Returns
    -------
    subset : Bunch
        With the attributes

        documents : list of str, Path and PIL.Image.Image
            The parts of the mixed corpus: texts and images, for the fit of an encoder. Images
            of 2025 are paths; those of 2026 are opened, and not decoded yet.
        ids : list of str
            The id of the document of each part; the two parts of an image+text document have
            the same.
        queries : list of Query
            The queries.
        query_ids : list of str
            Their ids.
        relevance : list of dict or None
            For each query its documents and their gains, to be used as ``y``; None where
            nothing is known.
        pairs : Bunch or None
            `texts`, `images` and `ids`, three lists of one length: all documents with both of
            their parts, from which other mixes are made. None where there is no file
            ``corpus``.

    Raises
    ------
    FileNotFoundError
        If a file or an image is missing; the message names the first lines that miss one.
    ValueError
        If a line is broken, has neither a text nor an image, or repeats an id.

    Warns
    -----
    UserWarning
        If a count is not the published one, lines of the qrels name documents or queries that
        do not exist, queries have no relevance, or a pair lacks a part and was left out.

    See Also
    --------
    fetch_mixbench : Downloads a subset.
    gapremoval.evaluation.mixbench_task : The same as a task of mteb.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025,
       https://arxiv.org/abs/2507.19054

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gapremoval.datasets import load_mixbench
    >>> with TemporaryDirectory() as folder:
    ...     for name, content in {
    ...         "queries.jsonl": '{"query_id": "q1", "text": "snow", "image": null}',
    ...         "mixed_corpus.jsonl": '{"corpus_id": "d1", "text": "ice", "image": "1.jpg"}',
    ...         "images/1.jpg": "",
    ...         "qrels/qrels.tsv": "query_id\\tcorpus_id\\tscore\\nq1\\td1\\t1",
    ...     }.items():
    ...         (Path(folder) / name).parent.mkdir(exist_ok=True)
    ...         _ = (Path(folder) / name).write_text(content)
    ...     subset = load_mixbench(folder)
    >>> subset.ids, subset.documents[0], subset.documents[1].name
    (['d1', 'd1'], 'ice', '1.jpg')
    >>> subset.queries, subset.relevance
    ([Query('snow')], [{'d1': 1}])
    """
    path = Path(path).absolute()
    suffix = _suffix(path)
    queries = _read(path / f"queries{suffix}", "query_id")
    corpus = _read(path / f"mixed_corpus{suffix}", "corpus_id")
    for name, records in (("queries", queries), ("mixed_corpus", corpus)):
        if not records:
            raise ValueError(f"{path / name}{suffix} is empty.")
    _compare(path.name, queries, corpus)
    relevance = read_qrels(
        _qrels_file(path, qrels), [query.id for query in queries], [doc.id for doc in corpus]
    )
    if unknown := [query.id for query in queries if query.id not in relevance]:
        warn(
            f"{len(unknown)} of the {len(queries)} queries of {path} have no relevance and cannot "
            f"be scored: {shown(unknown)}"
        )
    documents, ids = explode_documents([{"id": doc.id, **doc.fields} for doc in corpus])
    pairs = path / f"corpus{suffix}"
    return Bunch(
        documents=documents,
        ids=ids,
        queries=[_query(**query.fields) for query in queries],
        query_ids=[query.id for query in queries],
        relevance=[relevance.get(query.id) for query in queries],
        pairs=_pairs(pairs) if pairs.exists() else None,
    )


def _suffix(path):
    """``.jsonl`` or ``.parquet``, whichever the folder has."""
    for suffix in (".jsonl", ".parquet"):
        if (path / f"queries{suffix}").exists():
            return suffix
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}.")
    inside = [name for name in PUBLISHED if (path / name).is_dir()]
    hint = f" It holds subsets: give one of {shown(inside)}." if inside else ""
    raise FileNotFoundError(
        f"{path} has neither queries.jsonl (release of 2025) nor queries.parquet (2026).{hint}"
    )


def _qrels_file(path, qrels):
    if qrels is None:
        file = path / "qrels" / "qrels.tsv"
    else:
        file = Path(qrels)
        file = file / "qrels" / "qrels.tsv" if file.is_dir() else file
    if not file.exists():
        raise FileNotFoundError(
            f"There is no file {file}. The release of 2026 comes without qrels: take those of the "
            "release of 2025, qrels='MixBench25/<subset>' (fetch_mixbench downloads it)."
        )
    return file


def _read(path, id_field):
    """Records with a text, an image or both: their fields are these two, None where absent."""
    if path.suffix == ".parquet":
        records, picture = _read_parquet(path), _opened
    else:
        records, picture = read_jsonl(path, id_field), _image_file
    parts, missing = [], []
    for record in records:
        text, image = record.fields.get("text"), record.fields.get("image")
        if not isinstance(text, str | None):
            raise ValueError(f"{record.place}: the text must be a string or null; got {text!r}")
        text, image = (text if text and text.strip() else None), image or None
        if isinstance(image, dict) and not any(image.values()):  # an empty cell of Parquet
            image = None
        if text is None and image is None:
            raise ValueError(f"{record.place} has neither a text nor an image.")
        if image is not None:
            image = picture(image, record.place, path.parent)
            if image is None:
                missing.append(record)
        parts.append(Record(record.id, {"text": text, "image": image}, record.place))
    if missing:
        first = "; ".join(
            f"{record.fields['image']!r} (line {record.place.rpartition(' ')[2]})"
            for record in missing[:5]
        )
        raise FileNotFoundError(
            f"{len(missing)} images of {path} are not below {path.parent / 'images'}: {first}. "
            "fetch_mixbench downloads them, and so does `git lfs pull` in a clone."
        )
    return parts


def _read_parquet(path):
    parquet = import_optional("pyarrow.parquet", extra="parquet", purpose="MixBench of 2026")
    check_content(path)
    try:
        file = parquet.ParquetFile(path)
        absent = {"id", "text", "image"} - set(file.schema_arrow.names)
        rows = [] if absent else file.read(columns=["id", "text", "image"]).to_pylist()
    except (OSError, ValueError) as error:  # those of pyarrow are among them
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
    if absent:
        names = shown(file.schema_arrow.names)
        raise ValueError(f"{path} has no column {shown(sorted(absent))}; it has {names}.")
    records = []
    for fields in rows:
        place = f"{path}, row {len(records)}"
        records.append(Record(check_id(fields, "id", place), fields, place))
    return check_unique(records)


def _image_file(name, place, folder):
    """The file of an image, or None if there is none."""
    if not isinstance(name, str):
        raise ValueError(f"{place}: the image must be the name of a file or null; got {name!r}")
    # Names are those below images/; copies with names from the subset on are about, too.
    files = (folder / "images" / name, folder / name, folder.parent / name)
    return next((file for file in files if file.is_file() and not is_pointer(file)), None)


def _opened(image, place, folder):
    """The image in a cell of a Parquet file, not decoded yet."""
    Image = import_pillow()
    content = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(content, bytes) or not content:
        raise ValueError(f"{place}: the image has no bytes.")
    try:
        return Image.open(BytesIO(content))
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{place}: the bytes are not an image that Pillow can read.") from error


def _query(text, image):
    if text is None or image is None:
        return Query(image if text is None else text)
    return Query(text=text, image=image)


def _pairs(path):
    records = _read(path, "corpus_id")
    whole = [record for record in records if None not in record.fields.values()]
    if len(whole) < len(records):
        absent = [record.id for record in records if None in record.fields.values()]
        warn(
            f"{len(absent)} documents of {path} lack a text or an image and were left out of the "
            f"pairs: {shown(absent)}"
        )
    return Bunch(
        texts=[record.fields["text"] for record in whole],
        images=[record.fields["image"] for record in whole],
        ids=[record.id for record in whole],
    )


def _compare(name, queries, corpus):
    """Warn of counts that are not those that were published."""
    found = Counter(
        "+".join(part for part in ("image", "text") if doc.fields[part] is not None)
        for doc in corpus
    )
    found |= {"queries": len(queries), "documents": len(corpus)}
    for what, published in PUBLISHED.get(name, {}).items():
        if found[what] != published:
            counted = what if what in ("queries", "documents") else f"{what} documents"
            warn(
                f"{name} has {found[what]} {counted} here, and {published} as published: figures "
                "will not compare with those of others."
            )
