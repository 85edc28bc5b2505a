"""add_texts: texts that are read from the images of records."""

import hashlib
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path

from sklearn.utils._param_validation import HasMethods, Interval, validate_params

from .._items import is_picture
from .._optional import import_optional
from .._warnings import warn
from ..datasets._records import cells_of, check_text_column, images_of, with_ids
from ._error import ReadingError
from ._pictures import UnreadablePicture, picture_content, quiet_pillow, read_picture
from ._row_cache import cached_texts
from ._rows import PICTURE, listed
from ._text_readers import ask, check_reader, is_pipeline, pipeline_digest, texts_of


@validate_params(
    {
        "reader": [callable],
        "prompt": [str, None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "memory": [None, str, Path, HasMethods("cache")],
        "reader_name": [str, None],
        "verbose": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def add_texts(
    records,
    reader,
    name="caption",
    *,
    prompt=None,
    batch_size=16,
    memory=None,
    reader_name=None,
    verbose=False,
):
    """Add a column of texts that a model reads from the images of records.

    A caption or the writing in a picture, encoded beside the image, lets a text query find the
    image by a text. `explode_documents` makes these texts a modality of their own, since machines
    write otherwise than people: with a mean, an answer share and a fusion weight of their own.

    Parameters
    ----------
    records : DataFrame (pandas or polars), Arrow table or iterable of dict
        As in `explode_documents`. Images are in the column ``image``.
    reader : callable or transformers.Pipeline
        Called with a list of upright PIL images in mode RGB, returns a str for each. ``""`` and
        None mean that there is no text. Dicts with a ``generated_text``, as pipelines of
        transformers give them, are read too.
    name : str, default="caption"
        The column to fill, and the modality of its texts. A record that has a text in it keeps
        it, and its images are not read.
    prompt : str, default=None
        What a pipeline of the task ``image-text-to-text`` is asked about each image, such as
        ``"Describe the image."``. It is needed there, and only there. A model that knows no chat
        continues it: give ``""`` or ``"a photo of"``.
    batch_size : int, default=16
        Number of images that are passed to the reader at once, and are in memory at most. A
        pipeline has a ``batch_size`` of its own for its network.
    memory : str, Path or joblib.Memory, default=None
        Cache folder; it may be that of an encoder. Each text is stored under the content of its
        image and what identifies the reader, and is not read again. Each call with a pipeline
        hashes its weights, which takes seconds, unless there is a `reader_name`.
    reader_name : str, default=None
        What identifies a callable in the cache, such as the model and the prompt in it. Needed
        with `memory`; change it whenever the reader changes. A pipeline is identified by its
        weights, settings and prompt.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    list of dict
        The records in order, with an ``id`` (see `explode_documents`) and the column `name`: a
        str, a list of str if several images have a text, or None without any. The given records
        are not changed.

    Raises
    ------
    ReadingError
        If images cannot be decoded, or the reader raises for them. (When it raises for a batch,
        the images are passed one by one.) The error names all of them by the id of the record,
        and has the records with all other texts.
    TypeError, ValueError
        If the reader does not return one text for each image, there is no prompt or no
        `reader_name` where it is needed, `name` cannot be a modality of texts, or the records
        are not valid in `explode_documents`.

    Warns
    -----
    UserWarning
        If no record has an image.

    See Also
    --------
    explode_documents : With ``text_columns=["text", "caption"]``, items and ids.
    Tagged : A text with a modality of its own.

    Notes
    -----
    Equal images are read once. An interrupt (``KeyboardInterrupt``) ends the call; with `memory`,
    the texts of finished batches are kept.

    References
    ----------
    .. [1] Liu et al., "Universal Vision-Language Dense Retrieval: Learning A Unified
       Representation Space for Multi-Modal Retrieval" (UniVL-DR), ICLR 2023, where it is
       called image verbalization.

    Examples
    --------
    >>> from gapremoval import add_texts, explode_documents
    >>> from gapremoval.datasets import make_scenes
    >>> scenes = make_scenes(2, random_state=0)
    >>> records = [{"id": "a", "image": scenes.images[0]}, {"id": "b", "text": "blue hat"}]
    >>> def read(images):
    ...     return [f"a picture of {image.width} x {image.height} pixels" for image in images]
    >>> records = add_texts(records, read)
    >>> records[0]["caption"]
    'a picture of 64 x 64 pixels'
    >>> items, ids = explode_documents(records, text_columns=["text", "caption"])
    >>> items[0], ids
    (Tagged('a picture of 64 x 64 pixels', 'caption'), ['a', 'a', 'b'])

    With a model of transformers:

    >>> from transformers import pipeline  # doctest: +SKIP
    >>> reader = pipeline("image-text-to-text", "Qwen/Qwen3-VL-2B-Instruct")  # doctest: +SKIP
    >>> records = add_texts(records, reader, prompt="Describe the image.")  # doctest: +SKIP
    """
    check_text_column(name)
    check_reader(reader, prompt)
    made_by = reader_name
    if getattr(memory, "location", memory) is not None and made_by is None:
        if not is_pipeline(reader):
            raise ValueError(
                "With memory, give reader_name= too: a name for the reader, with the model and "
                "the prompt in it. The cache cannot tell two callables apart, and would serve the "
                "texts of one for the other."
            )
        made_by = pipeline_digest(reader)
    records = [{**record, "id": id_} for id_, record in with_ids(records)]
    images = [images_of(record) for record in records]
    if records and not any(images):
        warn("No record has an image, so there is nothing to read; the column read is 'image'.")
    unread = [i for i, record in enumerate(records) if not cells_of(record.get(name))]
    owner = [i for i in unread for _ in images[i]]
    pictures = [picture for i in unread for picture in images[i]]
    run = _Reading(pictures, lambda batch: ask(reader, batch, prompt))
    with quiet_pillow():
        texts = run.texts(memory, f"{made_by}\n{prompt}", batch_size, verbose)
    found = {i: [] for i in unread}
    for i, text in zip(owner, texts):
        if text:
            found[i].append(text)
    for i, several in found.items():
        records[i][name] = several if len(several) > 1 else next(iter(several), None)
    if run.wrong:
        raise _reading_error(run.wrong, pictures, [records[i]["id"] for i in owner], records)
    return records


class _Reading:
    """The texts of pictures, and by position the reasons of those that have none."""

    def __init__(self, pictures, ask):
        self.pictures, self.ask = pictures, ask
        self.contents, self.wrong = {}, {}

    def texts(self, memory, made_by, batch_size, verbose):
        """Texts from the cache or the reader, and None for pictures that are wrong."""
        for i, picture in enumerate(self.pictures):
            try:
                if not is_picture(picture):
                    raise UnreadablePicture(f"a {type(picture).__name__}: {PICTURE}")
                self.contents[i] = picture_content(picture)
            except UnreadablePicture as error:
                self.wrong[i] = str(error)
        readable, key = list(self.contents), f"text {made_by}\n".encode(errors="surrogatepass")
        keys = {i: hashlib.sha256(key + content).digest() for i, content in self.contents.items()}

        def read_missing(missing):
            starts = range(0, len(missing), batch_size)
            if verbose:
                tqdm = import_optional("tqdm.auto", extra="clip", purpose="verbose=True").tqdm
                starts = tqdm(starts, desc="reading", unit="batch")
            for start in starts:
                positions = missing[start : start + batch_size]
                decoded = self._decode([readable[position] for position in positions])
                texts = self._read(decoded) if decoded else {}
                yield [p for p in positions if readable[p] in texts], list(texts.values())

        texts = dict(zip(readable, cached_texts(memory, list(keys.values()), read_missing)))
        # Of equal pictures only the first was tried.
        why = {keys[i]: reason for i, reason in self.wrong.items() if i in keys}
        self.wrong.update({i: why[key] for i, key in keys.items() if key in why})
        return [texts.get(i) for i in range(len(self.pictures))]

    def _decode(self, batch):
        decoded = {}
        for i in batch:
            try:
                decoded[i] = read_picture(self.pictures[i])
                # The text is stored under the content that was hashed.
                is_file = isinstance(self.pictures[i], Path)
                if is_file and picture_content(self.pictures[i]) != self.contents[i]:
                    del decoded[i]
                    raise UnreadablePicture("the file changed meanwhile")
            except UnreadablePicture as error:
                self.wrong[i] = str(error)
        return decoded

    def _read(self, decoded):
        try:
            results = self.ask(list(decoded.values()))
            if isinstance(results, Iterator):  # it may raise as late as here
                results = list(results)
        except Exception as error:  # whatever a reader raises
            if len(decoded) > 1:
                one_by_one = [self._read({i: picture}) for i, picture in decoded.items()]
                return {i: text for texts in one_by_one for i, text in texts.items()}
            self.wrong[next(iter(decoded))] = f"the reader raised {type(error).__name__}: {error}"
            return {}
        return dict(zip(decoded, texts_of(results, len(decoded))))


def _reading_error(wrong, pictures, ids, records):
    """ReadingError with the reason for each picture without a text, and the texts of the others."""
    told, reasons = [], {}
    for i, why in sorted(wrong.items()):
        picture = pictures[i]
        label = repr(str(picture))[:200] if isinstance(picture, Path) else type(picture).__name__
        told.append(f"record {ids[i]!r} ({label}): {why}")
        reasons.setdefault(ids[i], why)
    return ReadingError(
        f"{len(wrong)} of {len(pictures)} images cannot be read. {listed(told)}. Mend or drop "
        "them; the records with all other texts are this error's `records`.",
        reasons,
        records,
    )
