"""The methods that are compared. A line in `METHODS` is a line in every table."""

from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from gapremoval import EmbeddingArray, MixedModalityRetriever, ModalityGapRemover, PosteriorOdds
from gapremoval.calibration import ByModality, ShrunkWhitener
from gapremoval.evaluation import published_methods

GR, OURS = "GR", "GR + posterior odds"
METHODS = published_methods() | {
    # Whether a correction of rows pays under posterior odds, too.
    "whitener + posterior odds": make_pipeline(
        ByModality(ShrunkWhitener()), MixedModalityRetriever(score_calibration=PosteriorOdds())
    ),
}
# They learn from documents with a text and an image, and cannot do without.
NEED_PAIRS = published_methods().keys() - published_methods(paired=False).keys()


def rows(*steps):
    """A pipeline that corrects rows, and ranks by cosine."""
    return make_pipeline(*steps, MixedModalityRetriever())


def scores(calibration):
    """A pipeline that removes the gap, and corrects scores."""
    retriever = MixedModalityRetriever(score_calibration=calibration)
    return make_pipeline(ModalityGapRemover(), retriever)


def fitted(method, documents, ids, queries=None, answers=None):
    """A method fitted on documents, and on queries without their answers or with some."""
    X = documents
    if queries is not None and len(queries):
        X = EmbeddingArray.concatenate([documents, queries])
    unjudged = [None] * (len(X) - len(documents))
    return clone(METHODS[method]).fit(X, [*ids, *(unjudged if answers is None else answers)])
