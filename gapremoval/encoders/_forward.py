"""Texts and pictures through a network: batches, threads, precision, what goes wrong."""

from collections import deque
from itertools import islice

import numpy as np

from .._optional import import_optional
from .._warnings import warn
from ._pictures import UnreadablePicture, read_picture

NOT_FINITE = "the network gives a row that is not finite, so its weights may be damaged"


class Forward:
    """Encodes texts and pictures, chunk by chunk, and remembers what could not be.

    Parameters
    ----------
    model : LoadedModel
    precision : {"auto", "float32", "float16", "bfloat16"}
    batch_size : int
        Halved for good when the device's memory is too small for it.
    pool : ThreadPoolExecutor
        Its threads read and prepare pictures.

    Attributes
    ----------
    precision : str
        What ``"auto"`` stands for on the device.
    n_overflowed : int
        How many rows overflowed in it, and were encoded again in float32.
    wrong : dict of int to str
        The position of each text or picture that gave no row, and why.
    cut : set of int
        The positions of texts that are longer than the network reads.
    """

    def __init__(self, model, precision, batch_size, pool):
        self.torch = import_optional("torch", extra="clip", purpose="CLIPEncoder")
        self.model, self.batch_size, self.pool = model, batch_size, pool
        self.device = next(model.network.parameters()).device
        self.precision = self._choose_precision(precision)
        self.wrong, self.cut = {}, set()
        self.told_of_memory = False
        self.n_overflowed = 0

    def _choose_precision(self, precision):
        if precision != "auto":
            return precision
        if self.device.type != "cuda":
            return "float32"
        return "bfloat16" if self.torch.cuda.is_bf16_supported() else "float16"

    def texts(self, texts):
        """Encode texts.

        Parameters
        ----------
        texts : dict of int to str
            The texts by position.

        Yields
        ------
        positions : list of int
        rows : tensor of float32 of shape (n_positions, n_features)
            Of unit length, on the device.
        """
        positions = np.array(list(texts))
        tokens, lengths = self.tokenize(texts)
        order = np.argsort(lengths, kind="stable") if self.model.can_trim else np.arange(len(texts))
        start = 0
        while start < len(order):
            batch = order[start : start + self.batch_size]
            start += len(batch)
            inputs = tokens[batch]
            if self.model.can_trim:
                inputs = inputs[:, : min(lengths[batch].max(), self.model.context_length)]
            yield self._rows(positions[batch].tolist(), inputs, self.model.encode_text)

    def tokenize(self, texts):
        """Tokens and uncut lengths of texts by position; which are too long stands in `cut`."""
        tokens, lengths = self.model.tokenize(list(texts.values()))
        self.cut.update(i for i, n in zip(texts, lengths) if n > self.model.context_length)
        return tokens, lengths

    def pictures(self, pictures):
        """Encode pictures; threads read the next batch while the network runs.

        Parameters
        ----------
        pictures : dict of int to picture
            The pictures by position.

        Yields
        ------
        positions, rows
            As `texts`; a picture that cannot be read is left out, and said in `wrong`.
        """
        tensors = self._prepared(pictures)
        while batch := list(islice(tensors, self.batch_size)):
            positions, inputs = zip(*batch)
            del batch
            inputs = self.torch.stack(inputs)
            yield self._rows(list(positions), inputs, self.model.network.encode_image)

    def _prepared(self, pictures):
        """Yield a position and a tensor for each picture, reading at most a batch ahead."""

        def prepare(picture):
            return self.model.preprocess(read_picture(picture))

        items, waiting = iter(pictures.items()), deque()
        while True:
            for position, picture in islice(items, max(self.batch_size - len(waiting), 0)):
                waiting.append((position, self.pool.submit(prepare, picture)))
            if not waiting:
                return
            position, future = waiting.popleft()
            try:
                yield position, future.result()
            except UnreadablePicture as error:
                self.wrong[position] = str(error)

    def _rows(self, positions, inputs, encode):
        """Positions and unit rows; what is not finite is encoded again, then left out."""
        rows = self._fitting(inputs, encode, self.precision)
        finite = self.torch.isfinite(rows).all(dim=1)
        if not bool(finite.all()):
            again = self.torch.nonzero(~finite)[:, 0]
            if self.precision != "float32":
                self.n_overflowed += len(again)
                rows[again] = self._fitting(inputs[again.cpu()], encode, "float32")
                finite = self.torch.isfinite(rows).all(dim=1)
            for i in self.torch.nonzero(~finite)[:, 0].tolist():
                self.wrong[positions[i]] = NOT_FINITE
            positions = [position for position, good in zip(positions, finite.tolist()) if good]
            rows = rows[finite]
        return positions, self.torch.nn.functional.normalize(rows, dim=1)

    def _fitting(self, inputs, encode, precision):
        """Raw rows in float32, in as many pieces as the device's memory asks for."""
        torch = self.torch
        half = torch.autocast(
            self.device.type,
            dtype=getattr(torch, precision),
            enabled=precision != "float32",
        )
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
                    f"{self.device} has too little memory for this batch: it is halved to "
                    f"{self.batch_size}, and again if need be. A smaller batch_size saves time."
                )
            self.told_of_memory = True
