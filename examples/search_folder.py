"""Search your own folder of photos and notes by a text or an image.

usage: python examples/search_folder.py FOLDER "a red bicycle in snow" [--model MODEL]

Needs the extra `clip`, or `sentence-transformers` for a model st:NAME. A document is an image, a
text file, or both with the same name. Encoded rows are cached in FOLDER/.gapremoval, so the second
run encodes only new and changed files.
"""

import argparse
import os
import sys
from pathlib import Path

from sklearn.pipeline import make_pipeline

from gapremoval import (
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    read_folder,
    search,
)
from gapremoval.datasets import load_ordinary_captions
from gapremoval.encoders import make_encoder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("query", help="a text, or the path of an image")
    parser.add_argument("--model", default="ViT-B-32/laion2b_s34b_b79k")
    parser.add_argument("-n", type=int, default=10, help="number of documents to show")
    arguments = parser.parse_args()

    items, ids = read_folder(arguments.folder)
    encoder = make_encoder(arguments.model, memory=arguments.folder / ".gapremoval", verbose=True)
    pipe = make_pipeline(encoder, ModalityGapRemover(), MixedModalityRetriever())
    # The queries' mean is learned from these, so that a folder without notes can be searched by
    # texts.
    captions = load_ordinary_captions()
    pipe.fit(items + [Query(q) for q in captions], ids + [None] * len(captions))

    query = Path(arguments.query) if os.path.isfile(arguments.query) else arguments.query
    found = search(pipe, query, arguments.n)
    sys.stdout.reconfigure(errors="backslashreplace")  # for file names that are not UTF-8
    for id_, score, modality in zip(found.ids[0], found.scores[0], found.modalities[0]):
        print(f"{score:6.3f}  {modality:<10}  {id_}")


if __name__ == "__main__":
    main()
