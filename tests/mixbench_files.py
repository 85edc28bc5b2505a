"""The files of MixBench as its releases have them."""

import json

import pytest


def records_of(folder, name):
    """The records of a file with one JSON object a line."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_parquet(folder, target):
    """Write a subset as released in 2026: images in the files, and no qrels."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    target.mkdir()
    for name, id_field in (("queries", "query_id"), ("mixed_corpus", "corpus_id")):
        rows = []
        for record in records_of(folder, f"{name}.jsonl"):
            image = record["image"]
            content = image and {"bytes": (folder / "images" / image).read_bytes(), "path": image}
            rows.append({"id": record[id_field], "text": record["text"], "image": content})
        image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        schema = pyarrow.schema(
            [("id", pyarrow.string()), ("text", pyarrow.string()), ("image", image)]
        )
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), target / f"{name}.parquet")
    return target
