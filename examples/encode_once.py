"""Encode a folder once, save the embeddings, and search them without encoding again.

usage: python examples/encode_once.py FOLDER OUT.npz [--model MODEL]

Needs the extra `clip`. Writes the tagged embeddings to OUT.npz and the documents' ids to
OUT.ids.json, neither of which runs code when it is opened.
"""

import argparse
import json
from pathlib import Path

from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    EmbeddingArray,
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
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="ViT-B-32/laion2b_s34b_b79k")
    arguments = parser.parse_args()
    if not arguments.out.parent.is_dir():
        parser.error(f"there is no folder {arguments.out.parent} to write to")
    ids_file = arguments.out.with_suffix(".ids.json")

    items, ids = read_folder(arguments.folder)
    # The queries' mean is learned from these, so that a folder without notes can be searched by
    # texts.
    captions = load_ordinary_captions()
    items, ids = items + [Query(q) for q in captions], ids + [None] * len(captions)
    encoder = CLIPEncoder(arguments.model, verbose=True)
    encoder.transform(items).save(arguments.out)
    ids_file.write_text(json.dumps(ids))

    # From here on it may be another program, which needs the encoder for raw queries only.
    X, ids = EmbeddingArray.load(arguments.out), json.loads(ids_file.read_text())
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever()).fit(X, ids)
    queries = encoder.transform(["a red bicycle in snow", "two dogs"])
    print(X, search(pipe, queries, 3), sep="\n")


if __name__ == "__main__":
    main()
