"""
Nothing here
============

A search always finds something, even if nothing in the corpus answers the question. This example
takes every second document away, asks for all of them, and lets the search say "nothing here": at
a false-alarm rate that you choose, without any label.

The rows are drawn with the statistics of CLIP embeddings.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapremoval import make_search_pipeline, search
from gapremoval.datasets import make_mixed_modality

# %%
# Half of the questions have no answer
# ------------------------------------

X, y = make_mixed_modality(400, random_state=1)
is_query = X.modality == "query:text"
questions, answers = X[is_query], y[is_query]
has_answer = np.arange(400) % 2 == 0
kept = ~is_query & np.isin(y, answers[has_answer])
pipe = make_search_pipeline().fit(X[kept], y[kept])
print(f"{pipe[-1].n_documents_} documents, {len(questions)} questions")

# %%
# False alarms
# ------------
#
# ``false_alarm`` is the share of questions *without* an answer that would look at least as well
# answered as this one. The search learns it from the documents' own texts, each asked without its
# own document. With ``max_false_alarm`` it finds nothing for questions above a threshold.

found = search(pipe, questions[:4], 1, max_false_alarm=0.1)
for number, n in enumerate(found.n_found):
    says = "finds a document" if n else "finds nothing"
    print(f"question {number}, with{'' if has_answer[number] else 'out'} an answer: {says}")

# %%
# If the promise holds, a share of 0.1 of the questions without an answer passes a threshold of 0.1.
# The more of those with an answer pass, the better.

false_alarm = search(pipe, questions, 1).false_alarm
thresholds = np.linspace(0, 0.5, 51)
passes = {
    name: np.array([np.mean(false_alarm[some] <= t) for t in thresholds])
    for name, some in (("without an answer", ~has_answer), ("with an answer", has_answer))
}
for t in (0.05, 0.1, 0.2):
    at = np.argmin(abs(thresholds - t))
    print(f"at {t}: " + ", ".join(f"{share[at]:.2f} {name}" for name, share in passes.items()))

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, share), color in zip(passes.items(), ("#ee6677", "#228833")):
    axes.plot(thresholds, share, color=color, label=name)
axes.plot(thresholds, thresholds, color="#888888", linestyle=":", label="what is promised")
axes.set(xlabel="max_false_alarm", ylabel="questions that find something", ylim=(0, 1))
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Why not the probability
# -----------------------
#
# A probability says which document it is, given that one answers. Where none does, it can still be
# high: many questions without an answer have a best document that looks likely.

top = search(pipe, questions, 1).probabilities[:, 0]
likely = [np.mean(top[some] >= 0.5) for some in (~has_answer, has_answer)]
print(f"at least 0.5: {likely[0]:.2f} without an answer, {likely[1]:.2f} with an answer")

# %%
# So use ``max_false_alarm`` to ask whether anything is there, and ``min_probability`` to shorten
# the list. :doc:`/guide/thresholds` has both, and what examples of unanswered questions add.
