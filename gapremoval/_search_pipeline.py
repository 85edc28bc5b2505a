"""make_search_pipeline: the pipeline that we recommend."""

from sklearn.pipeline import make_pipeline

from .calibration import ModalityGapRemover
from .retrieval import MixedModalityRetriever
from .score_calibration import PosteriorOdds


def make_search_pipeline(encoder=None, *, fusion_weight=0.5, n_neighbors=10):
    """The pipeline that the evidence recommends, unfitted.

    It removes the modality gap and ranks by posterior odds, so that answers of every
    modality reach the top and scores become probabilities. Fit it on tagged documents and,
    where there are any, ``query:`` rows, with or without relevance: they teach it what
    questions look like and which modalities answer them.

    Parameters
    ----------
    encoder : transformer, default=None
        What makes rows of texts and pictures, such as a `CLIPEncoder`, for raw items; None
        for embeddings.
    fusion_weight : float in [0, 1] or dict of str to float, default=0.5
        How the modalities of a document are weighed; see `MixedModalityRetriever`.
    n_neighbors : int, default=10
        How many documents a query finds.

    Returns
    -------
    Pipeline
        [encoder,] `ModalityGapRemover`, `MixedModalityRetriever` with
        ``score_calibration=PosteriorOdds()``.

    See Also
    --------
    search : Asks it.

    Examples
    --------
    >>> from gapremoval import make_search_pipeline, search
    >>> from gapremoval.datasets import make_mixed_modality
    >>> X, y = make_mixed_modality(200, random_state=0)
    >>> pipe = make_search_pipeline().fit(X, y)
    >>> found = search(pipe, X[-2:], 5)
    >>> found.probabilities.shape
    (2, 5)
    """
    retriever = MixedModalityRetriever(
        n_neighbors, fusion_weight=fusion_weight, score_calibration=PosteriorOdds()
    )
    steps = [ModalityGapRemover(), retriever]
    return make_pipeline(*steps if encoder is None else [encoder, *steps])
