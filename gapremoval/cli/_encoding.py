"""One shard of a large source, encoded into Parquet parts."""

import re
import sys

from ..datasets._folder import BLANK, summary
from ..encoders import encode_parts, make_encoder
from ._output import tell


def parse_shard(typed):
    """The numbers of ``i/n``, from ``0/n`` to ``(n-1)/n``; a ValueError for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", typed, re.ASCII)
    if not found or int(found[1]) >= int(found[2]):
        raise ValueError(f"--shard is i/n, from 0/4 to 3/4 for four shards; got {typed!r}.")
    return int(found[1]), int(found[2])


def make_parts(source, model, out, shard, part_size, dtype):
    """Encode a shard, and tell what was done; return whether nothing is missing."""
    encoder = make_encoder(model, verbose=sys.stderr.isatty())
    done = encode_parts(encoder, source, out, shard=shard, part_size=part_size, dtype=dtype)
    blank = [entry for entry in done.left_out if entry.reason == BLANK]
    losses = [entry for entry in done.left_out if entry.reason != BLANK]
    for entry in losses:
        tell(f"{entry.name}: {entry.reason}", kind="left out")
    if blank:
        tell(summary(blank))
    number, n_shards = shard
    tell(
        f"shard {number}/{n_shards}: {len(done.paths)} parts in {out}, {len(done.written)} of them "
        "encoded now"
    )
    return not losses
