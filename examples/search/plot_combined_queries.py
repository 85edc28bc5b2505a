"""
This scene, but red
===================

A query may be a picture and words: "this scene, but red". Its parts are added up, and what they
replace is subtracted. In raw embeddings the modality gap spoils the sum, because a picture and a
text differ most by the gap. This example changes the color of a shape in that way, and shows what
is found.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import matplotlib.pyplot as plt
from PIL import Image, ImageDraw
from sklearn.pipeline import make_pipeline

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    Query,
    make_search_pipeline,
    search,
)
from gapremoval.inspection import SearchResultDisplay

# %%
# Circles in eight colors and nine places
# ---------------------------------------
#
# Half of them are kept as pictures, half as captions, in turns.

colors = {
    "red": "#d62728",
    "orange": "#ff8c14",
    "yellow": "#fadc28",
    "green": "#28a03c",
    "blue": "#285adc",
    "purple": "#8232aa",
    "white": "#fafafa",
    "black": "#141414",
}
sides = ("top", "middle", "bottom"), ("left", "middle", "right")
places = [f"{row} {column}" for row in sides[0] for column in sides[1]]


def picture(color, place):
    """A circle on grey."""
    row, column = divmod(places.index(place), 3)
    x, y = 64 * (column + 0.5) / 3, 64 * (row + 0.5) / 3
    image = Image.new("RGB", (64, 64), "#bebebe")
    box = (x - 9.5, y - 9.5, x + 9.5, y + 9.5)
    ImageDraw.Draw(image).ellipse(box, fill=colors[color])
    return image


def caption(color, place=None):
    """A sentence about it."""
    where = f" at the {place}" if place else ""
    return f"a large {color} circle{where} on a plain grey background"


contents = {
    f"{color}, {place}": (picture, caption)[(i + j) % 2](color, place)
    for i, place in enumerate(places)
    for j, color in enumerate(colors)
}
documents, ids = list(contents.values()), list(contents)

# %%
# One query
# ---------
#
# The picture of a green circle at the bottom, plus "red", minus "green". The right answer is the
# red circle at the bottom, which is kept as a caption.

encoder = CLIPEncoder("pocket")
pipelines = {
    "raw": make_pipeline(encoder, MixedModalityRetriever()).fit(documents, ids),
    "recommended": make_search_pipeline(encoder).fit(documents, ids),
}
green = picture("green", "bottom middle")
query = Query(add=[green, caption("red")], subtract=caption("green"))
answer = "red, bottom middle"
SearchResultDisplay.from_estimator(pipelines, [query], contents, [answer])
plt.show()

# %%
# Raw embeddings find red circles in pictures only: the picture in the query pulls the sum into the
# cloud of pictures. With the gap removed from each part, the sum may end at a picture or a text.
#
# All changes of color
# --------------------
#
# Every picture is changed to each other color. How often is the circle in the new color and the
# same place among the first three?

queries, answers, modality = [], [], []
for i, place in enumerate(places):
    for j, old in enumerate(colors):
        if (i + j) % 2:
            continue
        for k, new in enumerate(colors):
            if new != old:
                parts = [picture(old, place), caption(new)]
                queries.append(Query(add=parts, subtract=caption(old)))
                answers.append(f"{new}, {place}")
                modality.append("caption" if (i + k) % 2 else "picture")
for name, pipe in pipelines.items():
    found = search(pipe, queries, 3).ids
    hits = [answer in row for answer, row in zip(answers, found)]
    for m in ("picture", "caption"):
        share = sum(hit for hit, of in zip(hits, modality) if of == m) / modality.count(m)
        print(f"{name}: {share:.2f} of the {m}s")

# %%
# Say what the new and the old are in a sentence like those that the encoder knows.
# :doc:`/guide/combined_queries` tells what to do about shorter texts, such as "at night".
