"""Diagrams of estimators link to the API reference, if the site has an address."""

import inspect
import re
from importlib import import_module
from urllib.parse import urlsplit

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from test_site import ROOMS, listed

import gapremoval
from gapremoval import FusionWeightSearchCV, MixedModalityRetriever, ModalityGapRemover

ADDRESS = "https://example.org/docs"


def public_estimators():
    classes = {
        value
        for room in ROOMS
        for value in vars(import_module(room)).values()
        if inspect.isclass(value) and issubclass(value, BaseEstimator)
    }
    return sorted(classes, key=lambda kind: kind.__name__)


def made(kind):
    """An estimator without a fit, whatever its constructor asks for."""
    needed = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    return kind(*(None for _ in needed))


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Install metadata of the package with these addresses, before those that are there."""

    def install(**urls):
        folder = tmp_path / f"gapremoval-{gapremoval.__version__}.dist-info"
        folder.mkdir()
        lines = [f"Project-URL: {label}, {address}" for label, address in urls.items()]
        head = f"Metadata-Version: 2.4\nName: gapremoval\nVersion: {gapremoval.__version__}\n"
        (folder / "METADATA").write_text(head + "\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/"])
def test_every_public_estimator_links_to_its_page_of_the_reference(publish, address):
    publish(Homepage="https://example.org", Documentation=address)
    pages = {f"{ADDRESS}/api/{name}.html": name for name in listed()}
    estimators = public_estimators()
    assert len(estimators) > 20
    for kind in estimators:
        page = pages[made(kind)._get_doc_link()]
        room, _, name = page.rpartition(".")
        assert getattr(import_module(room), name) is kind


@pytest.mark.parametrize("urls", [{}, {"Homepage": "https://example.org"}])
def test_where_the_site_has_no_address_there_is_no_link(publish, urls):
    publish(**urls)
    assert {made(kind)._get_doc_link() for kind in public_estimators()} == {""}


def test_a_diagram_links_its_own_steps_and_those_of_scikit_learn(publish):
    pipe = make_pipeline(ModalityGapRemover(), MixedModalityRetriever())
    search = FusionWeightSearchCV(pipe, np.linspace(0, 1, 3))
    publish(Documentation=ADDRESS)
    links = re.findall(r'href="([^"#]*)', search._repr_html_())
    own = {urlsplit(link).path.rpartition("/")[2] for link in links if link.startswith(ADDRESS)}
    assert own == {
        "gapremoval.FusionWeightSearchCV.html",
        "gapremoval.ModalityGapRemover.html",
        "gapremoval.MixedModalityRetriever.html",
    }
    links = re.findall(r'href="([^"#]*)', pipe._repr_html_())
    assert any(link.endswith("sklearn.pipeline.Pipeline.html") for link in links)


def test_a_class_of_the_user_has_no_page(publish):
    class Mine(ModalityGapRemover):
        pass

    publish(Documentation=ADDRESS)
    for module in ("mine", "__main__", "mine.room", "mine.room._file"):
        Mine.__module__ = module
        assert Mine()._get_doc_link() == ""
        place = ".".join(module.split(".")[:2])
        assert Mine()._doc_link_url_param_generator() == {"page": f"{place}.Mine"}
