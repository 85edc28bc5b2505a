"""
One report on your data
=======================

``GapReport`` answers the questions of this section on one page, for somebody who has not read the
paper: is there a gap, how large is it, what does it do to a search, what does a correction change,
and which is best for these data. This example reports on drawn photos and notes, and on rows
without a gap.

It runs offline on the pocket model, which knows drawn scenes of colored shapes.
"""

import textwrap

import matplotlib.pyplot as plt

from gapremoval import CLIPEncoder, Query
from gapremoval.datasets import make_mixed_modality, make_scenes
from gapremoval.inspection import CosineDisplay, GapReport

# %%
# Photos, notes and queries
# -------------------------
#
# Give what ``fit`` takes: documents with their ids, and queries with the ids of what answers them,
# None where that is unknown. A report needs no queries, but says more with some.

n = 120
scenes = make_scenes(n, random_state=8)
documents = scenes.images[: n // 2] + [captions[0] for captions in scenes.captions[n // 2 :]]
queries = [Query(captions[1]) for captions in scenes.captions]
report = GapReport(documents + queries, [*range(n), *range(n)], encoder=CLIPEncoder("pocket"))
print(f"advice: {report.advice}")

# %%
# The page
# --------
#
# In a notebook the report shows itself. ``report.open()`` opens it in a browser, and
# ``report.write_html("gap.html")`` writes one file that needs no network. Hover a point to see its
# photo or note, and choose a query to compare its answers before and after.

report

# %%
# In other forms
# --------------
#
# ``markdown()`` is for a pull request, ``json()`` for a dashboard or a test.

for line in report.markdown().splitlines()[:11]:
    print(textwrap.fill(line, 88))

# %%
# Where there is nothing to do
# ----------------------------
#
# An encoder without a gap, whose rows of different modalities lie as close as those of one, gets
# another advice.

X, y = make_mixed_modality(
    cosine_within=0.3,
    cosine_across=0.3,
    pair_cosine=0.6,
    deviation_within=0.12,
    deviation_across=0.11,
    random_state=0,
)
print(f"advice: {GapReport(X, y).advice}")

# %%
# The figures of the page are displays, and can be drawn alone. Without a gap a query has about the
# same cosines with all documents, whatever their modality, and right answers stand out from both.

CosineDisplay.from_embeddings(X, y)
plt.show()
