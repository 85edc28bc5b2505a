"""CLIPEncoder: texts and pictures in, embeddings out, by any network that open_clip knows."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from .._embeddings import EmbeddingArray
from .._optional import import_optional
from .._warnings import warn
from ._error import EncodingError
from ._forward import Forward
from ._model_names import check_model_name
from ._models import load_model
from ._pictures import UnreadablePicture, picture_content, quiet_pillow
from ._row_cache import cached_rows
from ._rows import read_rows


class CLIPEncoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Encode texts and pictures with a CLIP network of open_clip.

    Nothing is learnt and nothing is loaded before the first `transform`; networks are kept
    once a process, shared by clones, and never pickled.

    Parameters
    ----------
    model : str, default="ViT-B-32/laion2b_s34b_b79k"
        Which network with which weights:

        - ``"ARCHITECTURE/TAG"``: pretrained weights that open_clip knows by name;
        - ``"ARCHITECTURE/FILE"``: a checkpoint file. The activation is part of the
          architecture's name (``ViT-B-32-quickgelu``);
        - ``"hf-hub:ORG/NAME"``: a repository of the Hugging Face hub;
        - ``"local-dir:PATH"``: a folder with ``open_clip_config.json`` and weights;
        - ``"pocket"``: the small network that comes with the library and knows drawn scenes only
          (see `gapremoval.datasets.make_scenes`), to try things offline;
        - ``"ARCHITECTURE/random"``: random weights, for tests.
    device : str or torch.device, default=None
        Where to compute; None takes CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "float16", "bfloat16"}, default="auto"
        Of the network's arithmetic. ``"auto"`` is bfloat16 on CUDA (float16 where the card
        lacks it), and float32 elsewhere. Rows come out as float32.
    batch_size : int, default=64
        How many texts or pictures go through the network at once. It is halved, with one
        warning, where the memory of the device is too small.
    output : {"numpy", "torch"}, default="numpy"
        ``"torch"`` leaves the rows on the device.
    n_jobs : int, default=None
        Threads that decode and prepare pictures while the network runs; None or -1 takes one
        a core.
    memory : str, Path or joblib.Memory, default=None
        A folder that keeps each row, by the network's weights, the precision and the row's
        content, so that no text or picture is encoded twice: in a grid search, or when only
        some files of a folder have changed.
    verbose : bool, default=False
        Whether a progress bar is shown.

    See Also
    --------
    Query : Marks an item as a query.
    read_folder : Items and ids from a folder of pictures and text files.
    explode_documents : Items and ids from records.
    gapremoval.datasets.make_scenes : Pictures and captions for the model ``"pocket"``.

    Notes
    -----
    Pictures are turned upright as their EXIF data say, transparency is shown on white, and
    the first frame of a file counts. A text longer than the network reads is cut, with a
    warning that counts them.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021.
    .. [2] Ilharco et al., OpenCLIP, 2021, https://doi.org/10.5281/zenodo.5143773.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gapremoval import CLIPEncoder, MixedModalityRetriever, ModalityGapRemover, search
    >>> from sklearn.pipeline import make_pipeline
    >>> pipe = make_pipeline(CLIPEncoder(), ModalityGapRemover(), MixedModalityRetriever())
    >>> items = ["a note on bicycles", Path("photos/snow.jpg")]
    >>> found = search(pipe.fit(items), "a red bicycle in snow")  # doctest: +SKIP
    """

    _parameter_constraints = {
        "model": [str],
        "device": "no_validation",  # choose_device knows what there is
        "precision": [StrOptions({"auto", "float32", "float16", "bfloat16"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "output": [StrOptions({"numpy", "torch"})],
        "n_jobs": [None, Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "memory": [None, str, Path, HasMethods("cache")],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        model="ViT-B-32/laion2b_s34b_b79k",
        *,
        device=None,
        precision="auto",
        batch_size=64,
        output="numpy",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.model = model
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.output = output
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check the items and the name of the model; nothing is loaded or learnt.

        Parameters
        ----------
        X : list of items
            As for `transform`.
        y : object, default=None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `X` is a single item, or no sequence.
        ValueError
            If some rows are no items, or the model's name is not known: the message offers
            names that come near.
        """
        read_rows(X, taker=type(self).__name__, warn_of_names=False)
        check_model_name(self.model)
        return self

    def transform(self, X):
        """Encode items.

        Parameters
        ----------
        X : list of items of length n_rows
            Texts (str); pictures (``Path``, PIL image, uint8 array of shape (H, W, 3)); and
            `Query` objects around either or both.

        Returns
        -------
        EmbeddingArray of float32 of shape (n_rows, n_features)
            In the order of the items, tagged by what they are. Rows have length one, but
            for a `Query` of a text and an image: the mean of its two unit vectors.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        EncodingError
            If pictures cannot be read, or the network gives rows that are not finite. The
            error names all of them, and has the embeddings of the others.
        FileNotFoundError, OSError
            If the weights cannot be had.

        Warns
        -----
        UserWarning
            If texts are longer than the network reads (they are cut), if the batch had to
            be made smaller, or rows overflowed in half precision (they are encoded again).
        """
        self._validate_params()
        rows = read_rows(X, taker=type(self).__name__)
        model = load_model(self.model, self.device)
        parts = [part for row in rows for part in row.parts]
        with quiet_pillow(), ThreadPoolExecutor(self._n_threads()) as pool, self._bar(parts) as bar:
            forward = Forward(model, self.precision, self.batch_size, pool)

            def encode(positions):
                by_kind = {"text": {}, "image": {}}
                for position in positions:
                    kind, content = parts[position]
                    by_kind[kind][position] = content
                for chunks in (forward.texts(by_kind["text"]), forward.pictures(by_kind["image"])):
                    for done, encoded in chunks:
                        bar.update(len(done))
                        yield done, encoded

            if self.memory is None:
                encoded = self._collect(encode(range(len(parts))), len(parts), forward)
            else:
                encoded = self._recall(encode, parts, rows, forward)
            bar.update(len(parts) - bar.n)  # those that the cache knew
        if n_cut := len(forward.cut):
            warn(
                f"{n_cut} text{'s are' if n_cut > 1 else ' is'} longer than the "
                f"{model.context_length} tokens that this network reads; the rest is cut off."
            )
        if forward.n_overflowed:
            warn(
                f"{forward.n_overflowed} rows overflowed in {forward.precision} and were encoded "
                "again in float32."
            )
        embeddings = EmbeddingArray(_join(rows, encoded), [row.modality for row in rows])
        if forward.wrong:
            owner = [number for number, row in enumerate(rows) for _ in row.parts]
            raise _encoding_error(forward.wrong, parts, owner, embeddings)
        return embeddings

    def _collect(self, chunks, n_parts, forward):
        """Chunks put into one array, on the device or on the host."""
        shape = (n_parts, forward.model.n_features)
        if self.output == "torch":
            encoded = forward.torch.zeros(shape, device=forward.device)
            for positions, chunk in chunks:
                encoded[positions] = chunk
            return encoded
        encoded = np.zeros(shape, dtype=np.float32)
        for positions, chunk in chunks:
            encoded[positions] = chunk.cpu().numpy()
        return encoded

    def _recall(self, encode, parts, rows, forward):
        """The rows that the cache has; the others are encoded and put there."""
        made_by = f"{forward.model.fingerprint} {forward.precision}"
        keys = dict(enumerate(forward.pool.map(partial(_key, made_by=made_by), parts)))
        forward.wrong.update({i: str(key) for i, key in keys.items() if isinstance(key, Exception)})
        readable = [i for i in keys if i not in forward.wrong]
        place = {position: i for i, position in enumerate(readable)}

        def encode_missing(missing):
            for done, chunk in encode([readable[i] for i in missing]):
                was_cut = [position in forward.cut for position in done]
                rows = np.column_stack([chunk.cpu().numpy(), was_cut])
                yield [place[position] for position in done], rows
            # Of equal rows only the first was tried.
            why = {keys[i]: reason for i, reason in forward.wrong.items()}
            forward.wrong.update({i: why[key] for i, key in keys.items() if key in why})

        n_features = forward.model.n_features
        encoded = np.full((len(parts), n_features), np.nan, dtype=np.float32)
        # A last number says whether a text was cut, which takes longer to find out than to read.
        kept_keys = [keys[i] for i in readable]
        kept = cached_rows(self.memory, kept_keys, encode_missing, n_features + 1, n_features)
        encoded[readable], was_cut = kept[:, :-1], kept[:, -1]
        forward.cut.update(i for i, cut in zip(readable, was_cut) if cut == 1)
        unknown = [
            i for i, cut in zip(readable, was_cut) if np.isnan(cut) and parts[i][0] == "text"
        ]
        forward.tokenize({i: parts[i][1] for i in unknown})
        if self.output == "numpy":
            return encoded
        return forward.torch.from_numpy(encoded).to(forward.device)

    def _n_threads(self):
        return self.n_jobs if self.n_jobs and self.n_jobs > 0 else os.cpu_count()

    def _bar(self, parts):
        tqdm = import_optional("tqdm.auto", extra="clip", purpose="CLIPEncoder").tqdm
        return tqdm(total=len(parts), desc="encoding", disable=not self.verbose)

    @property
    def _n_features_out(self):
        return load_model(self.model, self.device).n_features

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _encoding_error(wrong, parts, owner, embeddings):
    """The error that names all texts and pictures that gave no row, and keeps the others."""
    told = [f"row {owner[i]} ({_label(parts[i][1])}): {why}" for i, why in sorted(wrong.items())]
    reasons = {}
    for i, why in sorted(wrong.items()):
        reasons.setdefault(owner[i], why)
    good = np.setdiff1d(np.arange(len(embeddings)), list(reasons))
    return EncodingError(
        f"{len(wrong)} of {len(parts)} texts and pictures cannot be encoded. "
        + "; ".join(told[:20])
        + (f"; and {len(told) - 20} more" if len(told) > 20 else "")
        + ". Mend or drop them; the others are this error's `embeddings`.",
        reasons,
        good,
        embeddings[good],
    )


def _key(part, made_by):
    """What names a row in the cache, or the error that says why there is none."""
    kind, content = part
    try:
        known_by = content.encode(errors="surrogatepass") if kind == "text" else None
        known_by = picture_content(content) if known_by is None else known_by
    except UnreadablePicture as error:
        return error
    return hashlib.sha256(f"{made_by} {kind} ".encode() + known_by).hexdigest()


def _join(rows, encoded):
    """One row of the parts of each item: itself, or the mean of two."""
    n_parts = np.array([len(row.parts) for row in rows])
    if n_parts.max() == 1:
        return encoded
    first = np.cumsum(n_parts) - n_parts
    return (encoded[first] + encoded[first + n_parts - 1]) / 2


def _label(content):
    """A text or picture in a few words, for a message."""
    if isinstance(content, str | Path):
        return repr(str(content))[:200]
    if isinstance(content, np.ndarray):
        return f"an array of shape {content.shape}"
    return f"a picture of mode {content.mode}, {content.width} x {content.height}"
