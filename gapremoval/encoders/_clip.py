"""CLIPEncoder: embeddings of texts and pictures from any network that open_clip knows."""

import hashlib
from functools import partial
from numbers import Integral
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from .._embeddings import EmbeddingArray
from .._warnings import warn
from ._error import EncodingError
from ._forward import Forward
from ._model_names import check_model_name
from ._models import load_model
from ._pictures import UnreadablePicture, picture_content, quiet_pillow
from ._row_cache import cached_rows
from ._rows import listed, read_rows


class CLIPEncoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Encode texts and pictures with a CLIP network of open_clip.

    Nothing is learned in `fit`. The network is loaded at the first `transform`, kept once per
    process, shared by clones, and never pickled.

    Parameters
    ----------
    model : str, default="ViT-B-32/laion2b_s34b_b79k"
        Network and weights:

        - ``"ARCHITECTURE/TAG"``: pretrained weights that open_clip knows by name;
        - ``"ARCHITECTURE/FILE"``: a checkpoint file. The activation is part of the
          architecture's name (``ViT-B-32-quickgelu``);
        - ``"hf-hub:ORG/NAME"``: a repository of the Hugging Face hub;
        - ``"local-dir:PATH"``: a folder with ``open_clip_config.json`` and weights;
        - ``"pocket"``: a small network that comes with the library, to try things offline. It
          knows only drawn scenes (see `gapremoval.datasets.make_scenes`);
        - ``"ARCHITECTURE/random"``: random weights, for tests.
    device : str or torch.device, default=None
        Device of the network. None chooses CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "float16", "bfloat16"}, default="auto"
        Precision of the network's arithmetic. ``"auto"`` is bfloat16 on CUDA (float16 on cards
        without it) and float32 elsewhere. The embeddings are float32 in any case.
    batch_size : int, default=64
        Number of texts or pictures per forward pass. It is halved, with one warning, when the
        memory of the device is too small.
    output : {"numpy", "torch"}, default="numpy"
        Type of the embeddings; ``"torch"`` puts them on the device of the network.
    n_jobs : int, default=None
        Number of threads that decode and resize pictures while the network runs. None and -1
        mean one per core.
    memory : str, Path or joblib.Memory, default=None
        Cache folder. Each row is stored under the network's weights, the precision and the
        content of its item, and is not encoded again: not for another candidate of a grid
        search, not after an interrupted run, and not when other files of a folder have
        changed.
    verbose : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    Query : Marks an item as a query.
    read_folder : Items and ids from a folder of pictures and text files.
    explode_documents : Items and ids from records.
    gapremoval.datasets.make_scenes : Pictures and captions for the model ``"pocket"``.

    Notes
    -----
    Pictures are turned upright by their EXIF data, transparent parts become white, and a file
    with several frames gives its first one.

    A JPEG file that is much larger than the network's input is decoded at 1/8, 1/4 or 1/2 of
    its size, if that divides both edges and leaves at least 4 times the input. This takes less
    time and memory, and the cosine with the embedding of the full size is above .9999.

    A thread needs about 8 bytes per pixel of the picture that it decodes, and pictures that
    have more than 2**25 pixels even then are decoded one at a time. So `n_jobs` threads
    together need less than ``n_jobs * 256`` MiB and 8 bytes per pixel of the largest picture.
    Pictures that were opened with ``PIL.Image.open`` and not loaded do not stay decoded.

    An interrupt (``KeyboardInterrupt``) ends `transform` without waiting for pictures that are
    being decoded. With `memory`, the rows of finished batches are kept.

    libtiff, the library with which Pillow decodes TIFF files, prints its own messages about
    damaged files to the standard error of the process.

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
        """Check the items and the name of the model; nothing is loaded or learned.

        Parameters
        ----------
        X : sequence of items
            As in `transform`.
        y : object, default=None
            Ignored.

        Returns
        -------
        self : CLIPEncoder

        Raises
        ------
        TypeError
            If `X` is a single item, or not a sequence of items.
        ValueError
            If some rows are neither texts nor pictures, or if the model's name is unknown; the
            message then offers similar names.
        """
        read_rows(X, taker=type(self).__name__, warn_of_names=False)
        check_model_name(self.model)
        return self

    def transform(self, X):
        """Encode items.

        Parameters
        ----------
        X : sequence of items, of length n_rows
            A list, array or column (pandas, polars or pyarrow) of texts (str), pictures
            (``Path``, PIL image, uint8 array of shape (H, W, 3)), or `Query` objects around
            them.

        Returns
        -------
        EmbeddingArray of float32 of shape (n_rows, n_features)
            In the order of the items, tagged by what each item is. Rows have unit length,
            except those of a `Query` with a text and an image, which are the mean of two unit
            vectors.

        Raises
        ------
        TypeError, ValueError
            As `fit`.
        EncodingError
            If pictures cannot be read, or the network gives rows that are not finite. The
            error names all of them, and has the embeddings of the other items.
        FileNotFoundError, OSError
            If the weights are not there and cannot be downloaded.

        Warns
        -----
        UserWarning
            If texts are longer than the network reads (the rest is cut off), if the batch had
            to be made smaller, or if rows overflowed in half precision (they are encoded again
            in float32).
        """
        self._validate_params()
        rows = read_rows(X, taker=type(self).__name__)
        model = load_model(self.model, self.device)
        parts = [part for row in rows for part in row.parts]
        n_threads = joblib.cpu_count() if self.n_jobs in (None, -1) else self.n_jobs
        with (
            quiet_pillow(),
            Forward(model, self.precision, self.batch_size, n_threads) as forward,
            self._bar(parts) as bar,
        ):
            encoded = self._encode(parts, forward, bar)
            bar.update(len(parts) - bar.n)  # the rows that came from the cache
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
        n_parts = np.array([len(row.parts) for row in rows])
        if len(parts) > len(rows):  # the row of an item is the mean of its parts' rows
            encoded = np.add.reduceat(encoded, np.cumsum(n_parts) - n_parts)
            encoded /= n_parts[:, None]
        if self.output == "torch":
            encoded = forward.torch.from_numpy(encoded).to(forward.device)
        # The same for every device and precision.
        encoder = f"{self.model} @ {model.fingerprint[:16]}"
        embeddings = EmbeddingArray(encoded, [row.modality for row in rows], encoder)
        if forward.wrong:
            owner = np.repeat(np.arange(len(rows)), n_parts).tolist()
            raise _encoding_error(forward.wrong, parts, owner, embeddings)
        return embeddings

    def _encode(self, parts, forward, bar):
        """Rows of the parts, from the cache if there is one; NaN for those that have none."""
        keys, states = map(str, range(len(parts))), {}
        if self.memory is not None:
            states = {i: _state(x) for i, (_, x) in enumerate(parts) if isinstance(x, Path)}
            made_by = f"{forward.model.fingerprint} {forward.precision}"
            keys = forward.pool.map(partial(_key, made_by=made_by), parts)
        keys = dict(enumerate(keys))
        forward.wrong.update({i: str(key) for i, key in keys.items() if isinstance(key, Exception)})
        readable = np.array([i for i in keys if i not in forward.wrong], dtype=int)

        def encode_missing(missing):
            for done, rows in forward.encode({i: parts[i] for i in readable[missing].tolist()}):
                bar.update(len(done))
                was_cut = np.array([i in forward.cut for i in done])[:, None]
                # What was decoded must be what was hashed: the key is that of the old content.
                changed = [i for i in done if i in states and _state(parts[i][1]) != states[i]]
                forward.wrong.update(dict.fromkeys(changed, "the file changed meanwhile"))
                kept = ~np.isin(done, changed)
                yield np.searchsorted(readable, done)[kept], np.hstack([rows, was_cut])[kept]

        # The last number of a cached row tells whether the text was cut.
        n_numbers = forward.model.n_features + 1
        encoded = np.full((len(parts), n_numbers), np.nan, dtype=np.float32)
        encoded[readable] = cached_rows(
            self.memory, [keys[i] for i in readable], encode_missing, n_numbers
        )
        forward.cut.update(np.flatnonzero(encoded[:, -1] == 1).tolist())
        # Of equal parts only the first was tried.
        why = {keys[i]: reason for i, reason in forward.wrong.items()}
        forward.wrong.update({i: why[key] for i, key in keys.items() if key in why})
        return np.ascontiguousarray(encoded[:, :-1])

    def _bar(self, parts):
        from tqdm.auto import tqdm  # which comes with open_clip

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
    """EncodingError with the reason for each part without a row, and the rows of the others."""
    told, reasons = [], {}
    for i, why in sorted(wrong.items()):
        content = parts[i][1]
        is_named = isinstance(content, str | Path)
        label = repr(str(content))[:200] if is_named else type(content).__name__
        told.append(f"row {owner[i]} ({label}): {why}")
        reasons.setdefault(owner[i], why)
    good = np.setdiff1d(np.arange(len(embeddings)), list(reasons))
    message = f"{len(wrong)} of {len(parts)} texts and pictures cannot be encoded. {listed(told)}"
    hint = "Mend or drop them; the others are this error's `embeddings`."
    return EncodingError(f"{message}. {hint}", reasons, good, embeddings[good])


def _key(part, made_by):
    """Key of a part in the cache, or the error that says why it cannot be read."""
    kind, content = part
    try:
        is_text = kind == "text"
        known_by = content.encode(errors="surrogatepass") if is_text else picture_content(content)
    except UnreadablePicture as error:
        return error
    return hashlib.sha256(f"{made_by} {kind} ".encode() + known_by).hexdigest()


def _state(path):
    """What a change of a file changes, or None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
