"""Texts and pictures through a network: threads, batches, precision, and what goes wrong."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from .._warnings import warn
from ._pictures import UnreadablePicture, read_picture

NOT_FINITE = "the network gives a row that is not finite, so its weights may be damaged"
# A JPEG that is decoded at this multiple of the network's input keeps its embedding
# (cosine > .9999).
REDUCING_GAP = 4


class Forward:
    """Encode texts and pictures in batches, and note which of them cannot be encoded.

    It is a context manager. When an error or an interrupt leaves it, no picture that waits to
    be decoded is decoded any more, and nobody waits for those that are under way.

    Parameters
    ----------
    model : LoadedModel
    precision : {"auto", "float32", "float16", "bfloat16"}
    batch_size : int
        Halved for good when the memory of the device is too small for it.
    n_threads : int
        Number of threads that decode and prepare pictures.

    Attributes
    ----------
    pool : ThreadPoolExecutor
        The threads.
    precision : str
        The precision in use, chosen by device for ``"auto"``.
    n_overflowed : int
        Number of rows that overflowed in it and were encoded again in float32.
    wrong : dict of int to str
        By position, the reason why a text or picture has no row.
    cut : set of int
        Positions of the texts that are longer than the network reads.
    """

    def __init__(self, model, precision, batch_size, n_threads):
        import torch

        self.torch = torch
        self.model, self.batch_size = model, batch_size
        self.pool, self.stopped = ThreadPoolExecutor(n_threads), threading.Event()
        self.device = model.device
        if precision == "auto":
            is_cuda = self.device.type == "cuda"
            half = "bfloat16" if is_cuda and self.torch.cuda.is_bf16_supported() else "float16"
            precision = half if is_cuda else "float32"
        self.precision = precision
        least_edge = REDUCING_GAP * np.max(model.network.visual.preprocess_cfg["size"])
        self.reading = {"least_edge": least_edge, "stop": self.stopped, "then": model.preprocess}
        self.wrong, self.cut = {}, set()
        self.told_of_memory = False
        self.n_overflowed = 0

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        self.stopped.set()
        self.pool.shutdown(wait=error is None, cancel_futures=True)

    def encode(self, parts):
        """Encode texts and pictures.

        Parameters
        ----------
        parts : dict of int to (str, object)
            By position, ``("text", text)`` or ``("image", picture)``.

        Yields
        ------
        positions : list of int
        rows : ndarray of float32 of shape (n_positions, n_features)
            Of unit length. Parts that cannot be encoded are left out, and noted in `wrong`.
        """
        for kind, encode in (("text", self.texts), ("image", self.pictures)):
            chosen = {i: content for i, (its_kind, content) in parts.items() if its_kind == kind}
            yield from encode(chosen)

    def texts(self, texts):
        """Yield positions and rows of texts, given by position; short texts come first."""
        positions = np.array(list(texts))
        tokens, lengths = self.model.tokenize(list(texts.values()))
        self.cut.update(positions[lengths > self.model.context_length].tolist())
        order = np.argsort(lengths, kind="stable") if self.model.can_trim else np.arange(len(texts))
        start = 0
        while start < len(order):
            batch = order[start : start + self.batch_size]
            start += len(batch)
            inputs = tokens[batch]
            if self.model.can_trim:
                inputs = inputs[:, : min(lengths[batch].max(), self.model.context_length)]
            yield self._rows(positions[batch].tolist(), inputs, self.model.encode_text)

    def pictures(self, pictures):
        """Yield positions and rows of pictures, given by position.

        Threads prepare the next batch while the network encodes one.
        """
        tensors = self._prepared(pictures)
        while batch := list(islice(tensors, self.batch_size)):
            positions, inputs = zip(*batch)
            del batch
            inputs = self.torch.stack(inputs)
            yield self._rows(list(positions), inputs, self.model.network.encode_image)

    def _prepared(self, pictures):
        """Yield a position and a tensor for each picture; at most one batch is read ahead."""
        items, waiting = iter(pictures.items()), deque()
        while True:
            for position, picture in islice(items, max(self.batch_size - len(waiting), 0)):
                future = self.pool.submit(read_picture, picture, **self.reading)
                waiting.append((position, future))
            if not waiting:
                return
            position, future = waiting.popleft()
            try:
                yield position, future.result()
            except UnreadablePicture as error:
                self.wrong[position] = str(error)

    def _rows(self, positions, inputs, encode):
        """Positions and unit rows; rows that are not finite are tried once more in float32."""
        rows = self._in_pieces(inputs, encode, self.precision)
        finite = self.torch.isfinite(rows).all(dim=1)
        if self.precision != "float32" and not finite.all():
            self.n_overflowed += int((~finite).sum())
            rows[~finite] = self._in_pieces(inputs[~finite.cpu()], encode, "float32")
            finite = self.torch.isfinite(rows).all(dim=1)
        unit = self.torch.nn.functional.normalize(rows[finite], dim=1).cpu().numpy()
        positions, finite = np.array(positions), finite.cpu().numpy()
        self.wrong.update(dict.fromkeys(positions[~finite].tolist(), NOT_FINITE))
        return positions[finite].tolist(), unit

    def _in_pieces(self, inputs, encode, precision):
        """Rows in float32, not normalized, in pieces that fit the memory of the device."""
        torch, is_half = self.torch, precision != "float32"
        half = torch.autocast(self.device.type, getattr(torch, precision), enabled=is_half)
        if self.device.type == "cuda":
            inputs = inputs.pin_memory()
        while True:
            try:
                with torch.inference_mode(), half:
                    pieces = [
                        encode(piece.to(self.device, non_blocking=True)).float()
                        for piece in inputs.split(self.batch_size)
                    ]
                return torch.cat(pieces)
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
