"""Texts and pictures through a network: threads, batches, precision, and what goes wrong."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from textwrap import shorten

import numpy as np

from .._items import Joint
from .._warnings import warn
from ..contents._pictures import UnreadablePicture, read_part, read_picture

NOT_FINITE = "the network gives a row that is not finite, so its weights may be damaged"
NO_LENGTH = "the network gives a row of length zero, as of a text without tokens"


class Forward:
    """Encode texts and pictures in batches, and note which of them cannot be encoded.

    It is a context manager. When an error or an interrupt leaves it, no picture that waits to
    be decoded is decoded any more, and nobody waits for those that are under way.

    Parameters
    ----------
    model : LoadedModel
    precision : {"float32", "float16", "bfloat16"}
    batch_size : int
        Halved for good when the memory of the device is too small for it.
    n_threads : int
        Number of threads that decode and prepare pictures.

    Attributes
    ----------
    pool : ThreadPoolExecutor
        The threads.
    n_overflowed : int
        Number of rows that overflowed and were encoded again in float32.
    wrong : dict of int to str
        By position, the reason why a text or picture has no row.
    cut : set of int
        Positions of the texts that are longer than the network reads.
    """

    def __init__(self, model, precision, batch_size, n_threads):
        import torch

        self.torch = torch
        self.model, self.batch_size, self.precision = model, batch_size, precision
        self.pool, self.stopped = ThreadPoolExecutor(n_threads), threading.Event()
        self.device = model.device
        self.wrong, self.cut = {}, set()
        self.told_of_memory = False
        self.n_overflowed = 0

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        self.stopped.set()
        self.pool.shutdown(wait=error is None, cancel_futures=True)

    def encode(self, parts):
        """Encode texts, pictures, and both together.

        Parameters
        ----------
        parts : dict of int to (str, object)
            By position, a kind and a content: ``("text", text)``, ``("image", picture)`` or
            ``("joint", Joint)``, with the kinds of queries marked as such.

        Yields
        ------
        positions : list of int
        rows : ndarray of float32 of shape (n_positions, n_features)
            Of unit length. Parts that cannot be encoded are left out, and noted in `wrong`.
        """
        by_kind = {}
        for position, (kind, content) in parts.items():
            by_kind.setdefault(kind, {})[position] = content
        texts_first = sorted(by_kind.items(), key=lambda item: not item[0].endswith("text"))
        for kind, chosen in texts_first:
            encode = self.texts if kind.endswith("text") else self.pictures
            for positions, batch in encode(kind, chosen):
                yield self._rows(positions, kind, batch)

    def texts(self, kind, texts):
        """Yield positions and batches of texts, given by position."""
        positions = np.array(list(texts))
        order, is_cut, take = self.model.prepare_texts(kind, list(texts.values()))
        self.cut.update(positions[is_cut].tolist())
        start = 0
        while start < len(order):
            at = order[start : start + self.batch_size]
            start += len(at)
            yield positions[at].tolist(), take(at)

    def pictures(self, kind, pictures):
        """Yield positions and batches of pictures, given by position.

        Threads prepare the next batch while the network encodes one.
        """
        prepared = self._prepared(pictures)
        while batch := list(islice(prepared, self.batch_size)):
            positions, contents = zip(*batch)
            del batch
            inputs = self.model.stack(kind, list(contents))
            if kind.endswith("joint"):
                self.cut.update(np.array(positions)[self.model.is_cut(kind, inputs)].tolist())
            yield list(positions), inputs

    def _prepared(self, pictures):
        """Yield a position and what is read of each picture; at most one batch is read ahead."""
        items, waiting = iter(pictures.items()), deque()
        while True:
            for position, picture in islice(items, max(self.batch_size - len(waiting), 0)):
                waiting.append((position, self.pool.submit(self._read, picture)))
            if not waiting:
                return
            position, future = waiting.popleft()
            try:
                yield position, future.result()
            except UnreadablePicture as error:
                self.wrong[position] = str(error)

    def _read(self, content):
        """A picture, or a text with its pictures, as the model takes it."""
        if isinstance(content, Joint):
            return content.text, [read_part(self._read, x, 2) for x in content.image]
        return read_picture(content, stop=self.stopped, **self.model.reading)

    def _rows(self, positions, kind, batch):
        """Positions and unit rows; rows that are not finite are tried once more in float32."""
        try:
            rows = self._in_pieces(kind, batch, self.precision)
        except ValueError as error:
            return self._one_by_one(positions, kind, batch, error)
        finite = self.torch.isfinite(rows).all(dim=1)
        if self.precision != "float32" and not finite.all():
            self.n_overflowed += int((~finite).sum())
            rows[~finite] = self._in_pieces(kind, batch[~finite.cpu()], "float32")
            finite = self.torch.isfinite(rows).all(dim=1)
        has_length = finite & (rows != 0).any(dim=1)
        unit = self.torch.nn.functional.normalize(rows[has_length], dim=1).cpu().numpy()
        positions, finite = np.array(positions), finite.cpu().numpy()
        has_length = has_length.cpu().numpy()
        self.wrong.update(dict.fromkeys(positions[~has_length].tolist(), NO_LENGTH))
        self.wrong.update(dict.fromkeys(positions[~finite].tolist(), NOT_FINITE))
        return positions[has_length].tolist(), unit

    def _one_by_one(self, positions, kind, batch, error):
        """As `_rows`, for a batch of which the network refuses some."""
        if len(positions) == 1:
            self.wrong[positions[0]] = f"the network refuses it ({shorten(str(error), 200)})"
            return [], np.empty((0, self.model.n_features), dtype=np.float32)
        found = [self._rows([x], kind, batch[i : i + 1]) for i, x in enumerate(positions)]
        return [x for some, _ in found for x in some], np.vstack([rows for _, rows in found])

    def _in_pieces(self, kind, batch, precision):
        """Rows in float32, not normalized, in pieces that fit the memory of the device."""
        torch = self.torch
        while True:
            try:
                with torch.inference_mode():
                    starts = range(0, len(batch), self.batch_size)
                    pieces = [batch[start : start + self.batch_size] for start in starts]
                    rows = [self.model.encode(kind, piece, precision).float() for piece in pieces]
                return torch.cat(rows)
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
            torch.cuda.empty_cache()
            self.batch_size //= 2
            if not self.told_of_memory:
                warn(
                    f"The memory of {self.device} is too small for this batch. It is halved to "
                    f"{self.batch_size}, and again if needed; a smaller batch_size saves time."
                )
            self.told_of_memory = True
