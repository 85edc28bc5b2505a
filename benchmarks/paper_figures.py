"""The figures that the paper printed, summed up as the pages quote them.

usage: python benchmarks/paper_figures.py
"""

from pathlib import Path

import pandas as pd
from tables import print_table

FOLDER = Path(__file__).parent / "paper"
ENCODERS = ["CLIP-B/16", "CLIP-L/14", "OpenCLIP-B/16", "OpenCLIP-L/14", "SigLIP-400m"]
OTHERS = ["VLM2Vec(LLaVA-Next)", "VLM2Vec(Qwen)"]


def read(name):
    """A table of the folder."""
    return pd.read_csv(FOLDER / f"{name}.csv", comment="#")


def print_table_1():
    """Means over the four subsets of MixBench."""
    mean = read("table1").groupby("system")["ndcg@10"].mean()
    rows = [
        [name, f"{mean[name]:.3f}", f"{mean[f'GR-{name}']:.3f}" if name in ENCODERS else ""]
        for name in [*ENCODERS, *OTHERS]
    ]
    title = "Table 1: NDCG@10, mean over the four subsets of MixBench"
    print_table(title, ["encoder", "raw", "GR"], rows)


def print_setting_1():
    """Both ends and the lowest point of each curve, and its sag."""
    rows = []
    for name, curve in read("setting1").sort_values("image_share").groupby("curve"):
        cells = [name]
        for column in ("raw_ndcg@10", "gr_ndcg@10"):
            first, *_, last = values = curve[column].tolist()
            sag = 1 - min(values) / ((first + last) / 2)
            cells += [f"{first:.3f} / {min(values):.3f} / {last:.3f}", f"{sag:.3f}"]
        rows.append(cells)
    header = ["curve", "raw: texts / lowest / images", "sag", "GR: texts / lowest / images", "sag"]
    print_table("Setting 1: NDCG@10 over the share of images", header, rows)


def print_setting_2():
    """The best weight of the text, and NDCG@10 there and at both ends."""
    rows = []
    for _, row in read("setting2").iterrows():
        cells = [row["panel"]]
        for method in ("raw", "gr"):
            values = [row[f"{method}_{x}"] for x in ("image_only", "best", "text_only")]
            cells += [" / ".join(f"{x:.3f}" for x in values), f"{row[f'{method}_best_weight']:.2f}"]
        rows.append(cells)
    header = ["panel", "raw: image / best / text", "weight", "GR: image / best / text", "weight"]
    print_table("Setting 2: NDCG@10 over the weight of the text", header, rows)


if __name__ == "__main__":
    print_table_1()
    print_setting_1()
    print_setting_2()
