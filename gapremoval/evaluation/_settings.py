"""The three settings of the paper (GR-CLIP, arXiv 2507.19054), on any data."""

import numpy as np

from ._compare import compare, draw_generators, run
from ._mixed_corpora import mixed_corpus

SHARES = tuple(np.linspace(0, 1, 11).round(2).tolist())


def sweep_image_share(
    pipelines, text, image, *, questions, shares=SHARES, n_draws=5, random_state=0, **options
):
    """Setting 1 of the paper: a growing share of the documents are images.

    At share 0 every item is a text document. In each draw the items become images one after
    the other, in a random order: the images of a share stay images in all higher ones. A
    method without a modality gap draws a flat line; a gap makes it sag in the middle.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    shares : sequence of float in [0, 1], default=(0, 0.1, ..., 1)
        The shares of images.
    n_draws : int, default=5
        The number of random orders.
    random_state : int, default=0
        Seed of the orders and the bootstrap.
    **options
        Passed to `compare`: `metric`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the share of images as ``image_share`` in place of ``corpus``.

    See Also
    --------
    sag : How deep such a curve sags.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import sweep_image_share
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = sweep_image_share(raw, text, image, questions=text, shares=[0, 1], n_draws=1)
    >>> result[result.answer_modality == "all"].round(2)
      pipeline  image_share answer_modality  n_queries  mean   low  high
    0      raw            0             all         40  1.00  1.00  1.00
    2      raw            1             all         40  0.12  0.06  0.19
    """
    orders = [random.permutation(len(text)) for random in draw_generators(n_draws, random_state)]
    cases = []
    for share in dict.fromkeys(shares):
        if not 0 <= share <= 1:
            raise ValueError(f"A share of images is between 0 and 1; got {share!r}.")
        n_images = round(share * len(text))
        kinds = [np.where(np.argsort(order) < n_images, "image", "text") for order in orders]
        draws = [mixed_corpus(text, image, questions=questions, proportions=kind) for kind in kinds]
        cases.append(({"image_share": share}, draws))
    return run(pipelines, cases, random_state=random_state, **options)


def sag(comparison):
    """How deep each curve of `sweep_image_share` sags.

    Parameters
    ----------
    comparison : Comparison
        From `sweep_image_share`.

    Returns
    -------
    Series of float
        By pipeline, 1 - lowest point / mean of both ends; 0 for a curve without a sag.

    Raises
    ------
    ValueError
        If the comparison has no such curve, or several of a pipeline.
    """
    if "image_share" not in comparison or "fusion_weight" in comparison:
        raise ValueError("sag takes the result of sweep_image_share, with one fusion weight.")
    every = comparison[comparison["answer_modality"] == "all"]
    curves = every.pivot(index="image_share", columns="pipeline", values="mean").sort_index()
    ends = (curves.iloc[0] + curves.iloc[-1]) / 2
    return (1 - curves.min() / ends).loc[list(dict.fromkeys(every["pipeline"]))]


def sweep_fusion_weight(
    pipelines, text, image, *, questions, fusion_weights=SHARES, random_state=0, **options
):
    """Setting 2 of the paper: every document has a text and an image, with growing weight.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    fusion_weights : sequence of float in [0, 1], default=(0, 0.1, ..., 1)
        The weights of the text.
    random_state : int, default=0
        Seed of the bootstrap.
    **options
        Passed to `compare`: `metric`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the column ``fusion_weight``.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 2.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import sweep_fusion_weight
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = sweep_fusion_weight(raw, text, image, questions=text, fusion_weights=[0, 1])
    >>> result.loc[result.answer_modality == "all", ["fusion_weight", "mean"]].round(2)
       fusion_weight  mean
    0              0  0.12
    2              1  1.00
    """
    both = mixed_corpus(text, image, questions=questions, proportions={"image+text": 1})
    options |= {"fusion_weights": fusion_weights, "random_state": random_state}
    return compare(pipelines, {"image+text": both}, **options)


def compare_mixes(
    pipelines, text, image, *, questions, mixes=None, extra_images=None, n_draws=5, random_state=0,
    **options,
):  # fmt: skip
    """Setting 3 of the paper: texts, images and image+text documents, in any proportions.

    Parameters
    ----------
    pipelines : dict of str to estimator
        As in `compare`.
    text, image, questions : array or list
        Items, as in `mixed_corpus`.
    mixes : sequence of str or dict of str to proportions, default=("1:1:1",)
        Mixes such as ``"7:2:1"``, of texts, images and image+text documents; or their
        proportions by name, as in `mixed_corpus`.
    extra_images : array or list, default=None
        Images that answer no question.
    n_draws : int, default=5
        The number of random corpora of each mix.
    random_state : int, default=0
        Seed of the corpora and the bootstrap.
    **options
        Passed to `compare`: `metric`, `fusion_weights`, `n_jobs`, `cache`, `verbose`.

    Returns
    -------
    Comparison
        With the mixes as ``corpus``.

    Raises
    ------
    ValueError
        If a mix is not three numbers.

    References
    ----------
    .. [1] "Closing the Modality Gap for Mixed Modality Search" (GR-CLIP), arXiv 2507.19054,
       section 5, setting 3.

    Examples
    --------
    >>> import numpy as np
    >>> from gapremoval import MixedModalityRetriever
    >>> from gapremoval.evaluation import compare_mixes
    >>> text, image = np.random.default_rng(0).normal(size=(2, 40, 8))
    >>> raw = {"raw": MixedModalityRetriever()}
    >>> result = compare_mixes(raw, text, image, questions=text, mixes=["1:3:0"], n_draws=2)
    >>> result[["corpus", "answer_modality", "n_queries", "mean"]].round(2)
      corpus answer_modality  n_queries  mean
    0  1:3:0             all         80  0.35
    1  1:3:0           image         60  0.13
    2  1:3:0            text         20  1.00
    """
    if mixes is None or not hasattr(mixes, "items"):
        mixes = {mix: proportions_of(mix) for mix in (["1:1:1"] if mixes is None else mixes)}
    seeds = [random_state + draw for draw, _ in enumerate(draw_generators(n_draws, random_state))]
    asked = {"questions": questions, "extra_images": extra_images}
    corpora = {
        name: [mixed_corpus(text, image, proportions=x, random_state=i, **asked) for i in seeds]
        for name, x in mixes.items()
    }
    return compare(pipelines, corpora, random_state=random_state, **options)


def proportions_of(mix):
    """The proportions of a mix such as ``"7:2:1"``."""
    try:
        text, image, both = map(float, mix.split(":"))
    except (ValueError, AttributeError):
        raise ValueError(
            f"A mix is three numbers, such as '7:2:1' for texts, images and image+text documents; "
            f"got {mix!r}."
        ) from None
    return {"text": text, "image": image, "image+text": both}
