"""GapReport as people meet it: drawn, pointed at, typed into, read aloud, in a notebook."""

import numpy as np
import pytest
from browser import axe_faults, pixels_too_wide
from test_gap_report import contents_of

from gapremoval import EmbeddingArray
from gapremoval.datasets import make_mixed_modality
from gapremoval.inspection import GapReport


@pytest.fixture(scope="module")
def report():
    X, y = make_mixed_modality(60, random_state=0)
    contents, questions = contents_of(X, y)
    title = "<script>document.title = 'run'</script>"
    return GapReport(X, y, contents=contents, questions=questions, title=title)


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_everybody_can_read_it(report, open_page, width, dark):
    page = open_page(report.html(), width=width, dark=dark)
    assert axe_faults(page) == []
    assert pixels_too_wide(page) <= 0
    assert "<script>" in page.title()
    assert page.locator("h1").inner_text() == "<script>document.title = 'run'</script>"
    assert page.locator(".headline").bounding_box()["y"] < 300


def test_a_mark_shows_its_text_or_picture_when_pointed_at_and_when_walked_to(report, open_page):
    page = open_page(report.html())
    shown, walk = page.locator(".shown"), page.locator("#walk")
    of_text = page.locator("svg.map").first.locator("[data-point]:has(rect)").first
    of_text.hover(force=True)
    assert "(text): text of item" in shown.inner_text()
    assert shown.locator("svg").is_hidden()
    of_image = page.locator("svg.map").first.locator("[data-point]:has(circle)").first
    of_image.hover(force=True)
    assert "(image)" in shown.inner_text()
    assert shown.locator("svg").is_visible()
    assert page.locator(".ring:visible").count() == 2
    before = shown.inner_text()
    walk.focus()
    page.keyboard.press("ArrowRight")
    assert shown.inner_text() != before
    assert walk.get_attribute("aria-valuetext") == shown.inner_text()


def test_a_typed_query_is_compared_before_and_after(report, open_page):
    page = open_page(report.html())
    stored = page.locator("[data-query]")
    n_stored = stored.count()
    assert n_stored == 40
    assert page.locator("[data-query]:visible").count() == 1
    visible = page.locator("[data-query]:visible")
    for i in range(n_stored):
        wanted = stored.nth(i).get_attribute("data-query")
        page.locator("#query").fill(wanted)
        assert visible.count() == 1
        assert visible.get_attribute("data-query") == wanted
    assert visible.locator(".hits").count() == 2
    assert visible.locator(".hits").first.is_visible()
    page.locator("#query").fill("no such thing")
    assert visible.count() == 0
    assert "No stored query" in page.locator(".chooser").inner_text()
    page.locator("#query").fill("")
    assert visible.count() == 1


def test_the_code_is_copied_or_selected(report, open_page):
    page = open_page(report.html())
    page.locator(".copy").click()
    page.wait_for_function("document.querySelector('.copy').textContent != 'Copy'")


def test_without_scripts_everything_is_there(report, browser, tmp_path):
    report.write_html(tmp_path / "page.html")
    page = browser.new_page(java_script_enabled=False)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("details[data-query]:visible").count() == 40
    assert page.locator("#walk").is_hidden()
    page.close()


def test_several_reports_stand_in_one_notebook(report, open_page):
    values = np.random.default_rng(0).normal(size=(60, 8))
    other = GapReport(EmbeddingArray(values, ["text", "image"] * 30), title="Another")
    snippets = "".join(f"<div>{each.html_snippet()}</div>" for each in (report, other, report))
    page = open_page(
        "<!DOCTYPE html><html lang=en><title>Notebook</title><h1>Notebook</h1><main>"
        f"{snippets}</main></html>"
    )
    assert page.locator("h1").evaluate("e => getComputedStyle(e).fontSize") == "32px"
    for number, frame in enumerate(page.frames[1:]):
        frame.wait_for_function(
            "frameElement.clientHeight >= document.documentElement.scrollHeight"
        )
        headline = frame.locator(".headline").inner_text()
        assert headline.startswith("Do not correct" if number == 1 else "Correct")
