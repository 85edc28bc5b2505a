"""Encoder, the base of the encoders: items in, tagged rows out."""

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

from .._base import ReferenceLink
from .._embeddings import EmbeddingArray
from .._modality import as_query, is_query
from .._warnings import warn
from ..contents._contents import Contents, progress_bar
from ..contents._error import reasons_by_owner
from ..contents._pictures import quiet_pillow
from ..contents._row_cache import cached_rows
from ._error import EncodingError
from ._forward import Forward
from ._rows import read_rows

CANNOT_JOIN = (
    "a text and pictures as one item (Joint) need a model that reads both together, such as a "
    "generative embedder. explode_documents(records) without joint=True makes an item of each, "
    "which the retriever fuses"
)

CANNOT_READ = (
    "it does not encode {0}s. Choose a CLIP model or a multimodal embedder; gapremoval.add_texts "
    "reads texts from images"
)


class Encoder(
    ReferenceLink,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Base of the encoders.

    An encoder has the parameters `model`, `device`, `batch_size`, `output`, `n_jobs`, `memory` and
    `verbose`, and these methods:

    - ``_check_model()`` raises if the name of the model is wrong; nothing is loaded;
    - ``_load()`` returns the `LoadedModel`, and the precision of its arithmetic;
    - ``_lasting_name()`` is the name for `make_encoder` that holds in any working folder.
    """

    _parameter_constraints = {
        "model": "no_validation",  # _check_model tells more
        "device": "no_validation",  # choose_device knows what there is
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "output": [StrOptions({"numpy", "torch"})],
        "n_jobs": [None, Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "memory": [None, str, Path, HasMethods("cache")],
        "verbose": ["boolean"],
    }

    # What its models may encode, and whether they encode queries otherwise than documents.
    _kinds = frozenset({"text", "image"})
    _asks_apart = False
    _prefix = ""  # before the model's name, in the name of the rows' encoder

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
        self : Encoder

        Raises
        ------
        TypeError
            If `X` is a single item, or not a sequence of items.
        ValueError
            If some rows are no items or none that the model can encode, or the model's name is
            wrong; the message then offers similar names.
        FileNotFoundError
            If the model is a file or a folder that is not there.
        """
        rows = read_rows(X, taker=type(self).__name__, warn_of_names=False)
        self._refuse_other(rows, self._kinds)
        self._check_model()
        return self

    def transform(self, X):
        """Encode items.

        Parameters
        ----------
        X : sequence of items, of length n_rows
            A list, array or column (pandas, polars or pyarrow) of texts (str), pictures
            (``Path``, PIL image, uint8 array of shape (H, W, 3)), both together (`Joint`), and
            marks around them (`Tagged`, `Query`).

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
            If pictures cannot be read, or the network refuses items or gives rows that are not
            finite. The error names all of them, and has the embeddings of the other items.
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
        self._refuse_other(rows, self._kinds)  # before anything is loaded
        model, precision = self._load()
        self._refuse_other(rows, model.kinds)
        parts = [part for row in rows for part in self._parts_of(row)]
        n_threads = joblib.cpu_count() if self.n_jobs in (None, -1) else self.n_jobs
        with (
            quiet_pillow(),
            Forward(model, precision, self.batch_size, n_threads) as forward,
            self._bar(len(parts)) as advance,
        ):
            encoded = self._encode(parts, forward, advance)
        if n_cut := len(forward.cut):
            warn(
                f"{n_cut} text{'s are' if n_cut > 1 else ' is'} longer than the "
                f"{model.context_length} tokens that this network reads; the rest is cut off."
            )
        if forward.n_overflowed:
            warn(
                f"{forward.n_overflowed} rows overflowed in {precision} and were encoded again in "
                "float32."
            )
        n_parts = np.array([len(row.parts) for row in rows])
        if len(parts) > len(rows):  # the row of an item is the mean of its parts' rows
            encoded = np.add.reduceat(encoded, np.cumsum(n_parts) - n_parts)
            encoded /= n_parts[:, None]
        if self.output == "torch":
            encoded = forward.torch.from_numpy(encoded).to(forward.device)
        # The same for every device and precision.
        encoder = f"{self._prefix}{self.model} @ {model.fingerprint[:16]}"
        embeddings = EmbeddingArray(encoded, [row.modality for row in rows], encoder)
        if forward.wrong:
            owners = np.repeat(np.arange(len(rows)), n_parts).tolist()
            contents = [content for _, content in parts]
            told, reasons = reasons_by_owner(forward.wrong, contents, owners, "row")
            good = np.setdiff1d(np.arange(len(rows)), list(reasons))
            raise EncodingError(
                f"{len(forward.wrong)} of {len(parts)} texts and pictures cannot be encoded. "
                f"{told}. Mend or drop them; the others are this error's `embeddings`.",
                reasons,
                good,
                embeddings[good],
            )
        return embeddings

    def _encode(self, parts, forward, advance):
        """Rows of the parts, from the cache if there is one; NaN for those that have none."""
        contents = Contents([content for _, content in parts], forward.wrong)
        if self.memory is not None:
            made_by = {kind: forward.model.made_by(kind) for kind, _ in parts}
            made_by = [f"{made_by[kind]} {forward.precision} {kind} " for kind, _ in parts]
            contents.hash(made_by, forward.pool.map)

        def encode(missing):
            for done, rows in forward.encode({i: parts[i] for i in missing}):
                was_cut = np.array([i in forward.cut for i in done])
                yield done, np.column_stack([rows, was_cut])

        # The last number of a cached row tells whether the text was cut.
        cached = partial(cached_rows, self.memory, n_features=forward.model.n_features + 1)
        encoded = contents.results(cached, encode, advance)
        forward.cut.update(np.flatnonzero(encoded[:, -1] == 1).tolist())
        return np.ascontiguousarray(encoded[:, :-1])

    def _bar(self, n_parts):
        return progress_bar("encoding", n_parts, self.verbose)

    @property
    def _n_features_out(self):
        return self._load()[0].n_features

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

    def _parts_of(self, row):
        """The parts of a row, as the model tells them apart."""
        if not (self._asks_apart and is_query(row.modality)):
            return row.parts
        return [(as_query(kind), content) for kind, content in row.parts]

    def _refuse_other(self, rows, kinds):
        """Raise if there are rows of other kinds than these."""
        wrong = []
        for number, row in enumerate(rows):
            if other := {kind for kind, _ in row.parts} - kinds:
                why = CANNOT_JOIN if "joint" in other else CANNOT_READ.format(other.pop())
                wrong.append((number, why))
        if wrong:
            shown = ", ".join(str(number) for number, _ in wrong[:10]) + ", ..." * (len(wrong) > 10)
            raise ValueError(
                f"model={self.model!r} cannot encode {len(wrong)} of {len(rows)} items (row "
                f"{shown}): {wrong[0][1]}."
            )
