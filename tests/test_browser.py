"""The kit that opens pages: it sees what is wrong with them."""

import asyncio

import pytest
from browser import axe_faults, pixels_too_wide

WHOLE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>t</title></head>
<body><main><h1>A heading</h1>{}</main></body></html>"""


def test_a_whole_page_has_no_fault(open_page):
    page = open_page(WHOLE.format("<p>words</p>"))
    assert page.complaints == []
    assert axe_faults(page) == []
    assert pixels_too_wide(page) <= 0


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("<script>console.log('here')</script>", "console: here"),
        ("<script>throw new Error('no')</script>", "error: no"),
        ("<img alt='a' src='https://example.org/a.png'>", "network: https://example.org/a.png"),
    ],
)
def test_a_page_that_complains_is_noticed(open_page, fault, complaint):
    page = open_page(WHOLE.format(fault))
    assert complaint in page.complaints
    page.complaints.clear()


def test_a_page_that_shuts_people_out_or_runs_off_a_phone_is_noticed(open_page):
    wide = WHOLE.format("<img src='data:,'><p style='width: 500px'>words</p>")
    page = open_page(wide, width=390)
    assert any("alternative text" in fault for fault in axe_faults(page))
    assert pixels_too_wide(page) > 0


def test_the_window_and_its_colors_are_those_that_were_asked_for(open_page):
    dark = "matchMedia('(prefers-color-scheme: dark)').matches"
    for width, is_dark in [(390, True), (1280, False)]:
        page = open_page(WHOLE.format(""), width, is_dark)
        assert (page.evaluate("innerWidth"), page.evaluate(dark)) == (width, is_dark)


def test_a_file_opens_with_the_files_beside_it(open_page, tmp_path):
    (tmp_path / "a #1.js").write_text("document.title = 'read'")
    (tmp_path / "page é.html").write_text(WHOLE.format("<script src='a%20%231.js'></script>"))
    assert open_page(tmp_path / "page é.html").title() == "read"


@pytest.fixture(scope="module", autouse=True)
def _no_loop_is_left():
    """Set up before the browser, and torn down after it."""
    yield
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
