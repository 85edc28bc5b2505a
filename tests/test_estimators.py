"""The library's own checks over every estimator."""

import pytest
from estimator_checks import CHECKS, ENCODER_CHECKS
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from gapremoval import (
    CLIPEncoder,
    MixedModalityRetriever,
    ModalityGapRemover,
    PosteriorOdds,
    SentenceTransformerEncoder,
    StoreRetriever,
)
from gapremoval.calibration import (
    AnchorAndScale,
    ByModality,
    CovarianceAligner,
    GapShift,
    GapSubspaceEraser,
    OrthogonalAligner,
    ShrunkWhitener,
    TopComponentsRemover,
)
from gapremoval.stores import FaissStore

ESTIMATORS = [
    ModalityGapRemover(),
    ModalityGapRemover(norm=None, shrinkage=0),
    GapShift(),
    GapShift(amount=0.5, norm=None),
    AnchorAndScale(),
    AnchorAndScale(target="image", norm=None, shrinkage=0),
    CovarianceAligner(),
    CovarianceAligner(target="image", norm=None, shrinkage=0),
    GapSubspaceEraser(),
    GapSubspaceEraser(center=True, norm=None, shrinkage=0),
    OrthogonalAligner(),
    OrthogonalAligner(target="image", prior_count=0, norm=None),
    ByModality(StandardScaler()),
    ByModality(ShrunkWhitener(), norm=None),
    ByModality(TopComponentsRemover(2)),
    ByModality(QuantileTransformer(n_quantiles=5)),
    MixedModalityRetriever(),
    MixedModalityRetriever(3, fusion_weight={"text": 1, "image": 2}),
    MixedModalityRetriever(score_calibration=PosteriorOdds()),
    StoreRetriever(FaissStore()),
    StoreRetriever(FaissStore(), fusion_weight={"text": 1, "image": 2}),
    StoreRetriever(FaissStore(), score_calibration=PosteriorOdds()),
]


# Chunks are small here, and retrievers are asked with document rows on purpose.
@pytest.mark.filterwarnings("ignore:Few rows to take a mean from:UserWarning")
@pytest.mark.filterwarnings("ignore:None of these rows is marked as a query:UserWarning")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def _tiny_networks(tmp_path_factory):
    pytest.importorskip("open_clip")
    from networks import register

    register(tmp_path_factory.mktemp("architectures"))


@pytest.mark.usefixtures("_tiny_networks")
@pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("model", ["tiny-vit/random", "tiny-resnet/random", "tiny-last/random"])
def test_every_encoder(model, check):
    check(CLIPEncoder(model, device="cpu"))


@pytest.fixture(scope="module")
def sentence_models(tmp_path_factory):
    pytest.importorskip("sentence_transformers")
    from sentence_models import save_clip, save_embedder, save_qwen

    folder = tmp_path_factory.mktemp("models")
    save_clip(folder / "clip")
    save_qwen(folder / "qwen")
    save_embedder(folder / "embedder", folder / "qwen")
    return folder


@pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("model", ["clip", "embedder"])
def test_every_encoder_of_sentence_transformers(sentence_models, model, check):
    # In the generative model a query has a prompt of its own, unless there are none.
    prompts = {"query": "", "document": ""}
    check(SentenceTransformerEncoder(str(sentence_models / model), device="cpu", prompts=prompts))
