"""The first screen of the site: one query before and after, over drawn scenes.

usage: python examples/first_screen.py [FILE]

Writes docs/images/first_screen.html, and prints how often the right picture is found.
"""

import sys
from base64 import b64encode
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from gapremoval import CLIPEncoder, MixedModalityRetriever, make_search_pipeline, search
from gapremoval.datasets import make_scenes

N_SCENES, SEED = 300, 7
N_PICTURES = N_SCENES // 2
QUERY = "a huge orange diamond at the upper edge on a striped sky blue background"
N_SHOWN = 5
FILE = Path(__file__).parent.parent / "docs" / "images" / "first_screen.html"
TITLES = {
    "Before": "plain cosine: texts fill the top, right or wrong",
    "After": "the gap removed, the scores comparable",
}


def make_corpus():
    """Pictures of some scenes and captions of the others: 300 items, and the scenes."""
    scenes = make_scenes(N_SCENES, random_state=SEED)
    captions = [captions[0] for captions in scenes.captions[N_PICTURES:]]
    return [*scenes.images[:N_PICTURES], *captions], scenes


def make_pipelines(items):
    """Fitted pipelines, named as on the page."""
    encoder = CLIPEncoder("pocket")
    pipelines = make_pipeline(encoder, MixedModalityRetriever()), make_search_pipeline(encoder)
    return {name: pipe.fit(items, range(len(items))) for name, pipe in zip(TITLES, pipelines)}


def found_share(pipe, questions):
    """How often the picture that a question describes is among the first: a float."""
    ids = search(pipe, questions, N_SHOWN).ids
    return np.mean([answer in found for answer, found in enumerate(ids)])


def draw_result(item, caption, is_right):
    """A list item of HTML: a text, or a picture that its caption describes."""
    if isinstance(item, str):
        return f'<li><span class="fs-text">{escape(item)}</span></li>'
    file = BytesIO()
    item.save(file, "WEBP", lossless=True)
    source = f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
    picture = f'<img src="{source}" alt="Picture of {escape(caption)}" width="44" height="44">'
    if is_right:
        return f'<li class="fs-right">{picture} <strong>the right picture</strong></li>'
    return f'<li>{picture} <span class="fs-text">another picture</span></li>'


def draw_list(name, items, scenes, ids, answer):
    """A heading, and what was found."""
    captions = [captions[0] for captions in scenes.captions]
    rows = "\n".join(draw_result(items[i], captions[i], i == answer) for i in ids)
    heading = f"<strong>{name}</strong> {escape(TITLES[name])}"
    return f'<section class="fs-list"><p>{heading}</p>\n<ol>\n{rows}\n</ol></section>'


def main():
    items, scenes = make_corpus()
    answer = next(i for i, captions in enumerate(scenes.captions) if captions[0] == QUERY)
    lists, pipelines = [], make_pipelines(items)
    questions = [captions[0] for captions in scenes.captions[:N_PICTURES]]
    for name, pipe in pipelines.items():
        ids = search(pipe, QUERY, N_SHOWN).ids[0].tolist()
        lists.append(draw_list(name, items, scenes, ids, answer))
        share = found_share(pipe, questions)
        print(f"{name}: {share:.0%} of {N_PICTURES} questions find their picture among {N_SHOWN}.")
    query = f'<p class="fs-query"><span aria-hidden="true">⌕</span> {escape(QUERY)}</p>'
    html = ['<div class="first-screen">', query, '<div class="fs-lists">', *lists, "</div></div>"]
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    path.write_text("\n".join(html) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
