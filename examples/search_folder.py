"""Search your own folder of photos and notes by a text or a picture.

usage: python examples/search_folder.py FOLDER "a red bicycle in snow" [--model MODEL]

Needs the extra `clip`. A document is a picture, a text file, or both of one name. Rows are
kept in FOLDER/.gapremoval, so that only new and changed files are encoded the second time.
"""

import argparse
import os
import sys
from pathlib import Path

from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    ModalityGapRemover,
    Query,
    read_folder,
    search,
)
from gapremoval.datasets import load_ordinary_captions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("query", help="a text, or the path of a picture")
    parser.add_argument("--model", default="ViT-B-32/laion2b_s34b_b79k")
    parser.add_argument("-n", type=int, default=10, help="how many documents to show")
    arguments = parser.parse_args()

    items, ids = read_folder(arguments.folder)
    encoder = CLIPEncoder(arguments.model, memory=arguments.folder / ".gapremoval", verbose=True)
    pipe = make_pipeline(encoder, ModalityGapRemover(), MixedModalityRetriever())
    # Questions have a mean of their own; without texts it comes from these.
    captions = load_ordinary_captions()
    pipe.fit(items + [Query(q) for q in captions], ids + [None] * len(captions))

    query = Path(arguments.query) if os.path.isfile(arguments.query) else arguments.query
    found = search(pipe, query, arguments.n)
    sys.stdout.reconfigure(errors="backslashreplace")  # for names of files that are not text
    for id_, score, modality in zip(found.ids[0], found.scores[0], found.modalities[0]):
        print(f"{score:6.3f}  {modality:<10}  {id_}")


if __name__ == "__main__":
    main()
