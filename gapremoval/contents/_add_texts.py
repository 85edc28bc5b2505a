"""add_texts: texts that are read from the images of records."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from numbers import Integral
from pathlib import Path

from sklearn.utils._param_validation import HasMethods, Interval, validate_params

from .._warnings import warn
from ..datasets._records import cells_of, check_text_column, images_of, with_ids
from ._contents import Contents, progress_bar
from ._error import ReadingError, reasons_by_owner
from ._pictures import UnreadablePicture, quiet_pillow, read_picture
from ._row_cache import cached_texts
from ._text_readers import ask, check_reader, reader_digest, texts_of


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
        the images are passed one by one; when it raises for all of several in the first batch,
        no more are tried.) The error names all of them by the id of the record, and has the
        records with all other texts.
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
    if reader_name is None and getattr(memory, "location", memory) is not None:
        reader_name = reader_digest(reader)
    records = [{**record, "id": id_} for id_, record in with_ids(records)]
    if records and not any(map(images_of, records)):
        warn("No record has an image, so there is nothing to read; the column read is 'image'.")
    unread = [record for record in records if not cells_of(record.get(name))]
    pictures = [picture for record in unread for picture in images_of(record)]
    wrong, errors = {}, []

    def read(missing):
        for start in range(0, len(missing), batch_size):
            decoded = {}
            for i in missing[start : start + batch_size]:
                try:
                    decoded[i] = read_picture(pictures[i])
                except UnreadablePicture as error:
                    wrong[i] = str(error)
            texts = _texts(decoded, lambda batch: ask(reader, batch, prompt), wrong, errors)
            yield list(texts), list(texts.values())
            if start == 0 and len(decoded) > 1 and not texts:
                rest = "not tried, since the reader raised for all of the first images"
                wrong.update(dict.fromkeys(missing[batch_size:], rest))
                return

    contents = Contents(pictures, wrong)
    with quiet_pillow(), progress_bar("reading", len(pictures), verbose) as advance:
        contents.hash([f"text {reader_name}\n{prompt}\n"] * len(pictures))
        texts = iter(contents.results(partial(cached_texts, memory), read, advance))
    for record in unread:
        found = list(filter(None, islice(texts, len(images_of(record)))))
        record[name] = found if len(found) > 1 else next(iter(found), None)
    if wrong:
        ids = [record["id"] for record in unread for _ in images_of(record)]
        told, reasons = reasons_by_owner(wrong, pictures, ids, "record")
        raise ReadingError(
            f"{len(wrong)} of {len(pictures)} images cannot be read. {told}. Mend or drop them; "
            "the records with all other texts are this error's `records`.",
            reasons,
            records,
        ) from next(iter(errors), None)
    return records


def _texts(pictures, ask, wrong, errors):
    """Texts of decoded pictures, by position; one by one if the reader raises for all of them."""
    if not pictures:
        return {}
    try:
        results = ask(list(pictures.values()))
        if isinstance(results, Iterator):  # it may raise as late as here
            results = list(results)
    except Exception as error:  # whatever a reader raises
        if len(pictures) > 1:
            one_by_one = [_texts({i: x}, ask, wrong, errors) for i, x in pictures.items()]
            return {i: text for texts in one_by_one for i, text in texts.items()}
        wrong[next(iter(pictures))] = f"the reader raised {type(error).__name__}: {error}"
        errors.append(error)
        return {}
    return dict(zip(pictures, texts_of(results, len(pictures))))
