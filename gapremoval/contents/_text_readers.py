"""Readers: callables that give a text for each picture, and what identifies them."""

import hashlib
from collections.abc import Mapping, Set

from .._items import is_missing
from ._weights import SAMPLE_TEXT, update_by_weights

PROMPTED = "image-text-to-text"


def is_pipeline(reader):
    """Whether a reader is a pipeline of transformers."""
    return any(
        kind.__module__ == "transformers.pipelines.base" and kind.__name__ == "Pipeline"
        for kind in type(reader).__mro__
    )


def check_reader(reader, prompt):
    """Raise a ValueError unless there is a prompt for readers that take one, and only for them."""
    takes_prompt = is_pipeline(reader) and reader.task == PROMPTED
    if takes_prompt and prompt is None:
        raise ValueError(
            f"A pipeline of the task {PROMPTED} needs prompt=: an instruction such as 'Describe "
            "the image.', or the beginning of the text, such as '' or 'a photo of'."
        )
    if prompt is not None and not takes_prompt:
        raise ValueError(
            f"prompt= is for a transformers pipeline of the task {PROMPTED}; a callable has its "
            "prompt in itself."
        )


def ask(reader, pictures, prompt):
    """The results of a reader for a list of pictures, as it gives them."""
    if prompt is None:
        return reader(pictures)
    if getattr(reader.processor, "chat_template", None) is None:
        texts = [prompt] * len(pictures)
        return reader(images=pictures, text=texts, return_full_text=False)
    question = {"type": "text", "text": prompt}
    chats = [
        [{"role": "user", "content": [{"type": "image", "image": picture}, question]}]
        for picture in pictures
    ]
    return reader(text=chats, return_full_text=False)


def texts_of(results, n):
    """The texts in the results of a reader, stripped.

    Parameters
    ----------
    results : sequence of length n
        For each picture a str, None, a dict with ``generated_text``, or a list of one of these.
    n : int
        Number of pictures.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError, ValueError
        If the results are of another type or number.
    """
    is_unordered = isinstance(results, Mapping | Set) or hasattr(results, "columns")
    if isinstance(results, str) or is_unordered or not hasattr(results, "__iter__"):
        raise TypeError(
            "The reader takes a list of pictures and must return a list of str, one for each; it "
            f"returned a {type(results).__name__}: {repr(results)[:60]}"
        )
    results = list(results)
    if len(results) != n:
        raise ValueError(
            f"The reader must return one text for each picture; it returned {len(results)} for "
            f"{n} pictures. Where it finds none, '' or None stands for it."
        )
    return [_text_of(result) for result in results]


def _text_of(result):
    text = result[0] if isinstance(result, list) and len(result) == 1 else result
    if isinstance(text, Mapping) and "generated_text" in text:
        text = text["generated_text"]
    if is_missing(text):
        return ""
    if not isinstance(text, str):
        raise TypeError(
            "The reader must return a str (or None) for each picture; it returned a "
            f"{type(result).__name__}: {repr(result)[:60]}"
        )
    return text.strip()


def reader_digest(reader):
    """Sha256 of what determines the texts of a pipeline, except the prompt.

    These are the weights, and all that the pipeline and its model hold beside them. What cannot
    be told apart in writing counts as different, so a text is rather read again than taken from
    another reader. Of a callable nothing is known, which is a ValueError.
    """
    if not is_pipeline(reader):
        raise ValueError(
            "With memory, give reader_name= too: a name for the reader, with the model and the "
            "prompt in it. The cache cannot tell two callables apart, and would serve the texts "
            "of one for the other."
        )
    passing = {"model", "device", "call_count"}
    told = [f"{name}: {value}" for name, value in vars(reader).items() if name not in passing]
    told += [reader.model.config, getattr(reader.model, "generation_config", None)]
    told += [getattr(reader.processor, "chat_template", None)]
    told += [reader.tokenizer and reader.tokenizer(SAMPLE_TEXT)["input_ids"]]
    digest = hashlib.sha256("\n".join(map(str, told)).encode(errors="surrogatepass"))
    update_by_weights(digest, reader.model)
    return digest.hexdigest()
