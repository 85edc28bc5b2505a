"""Pages in a real browser: what it shows, what it complains about, whom it shuts out."""

import itertools
import shutil
from pathlib import Path

import pytest

# A colon sets the schemes apart from names of files.
LOCAL = ("about:", "blob:", "data:", "file:")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by playwright; skips, saying so, where one of them is missing.

    One for each file of tests, since playwright leaves an event loop running in the thread
    until it stops: ``asyncio.run`` in other files would fail.
    """
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium: make browser")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open pages: ``open_page(html or Path, width=1280, dark=False)`` is playwright's page.

    The test fails at its end if one of them wrote to the console, raised an error, or asked for
    anything that does not lie on this machine; `page.complaints` lists these, and `clear` on it
    lets those pass that were expected. Nothing is ever loaded from the network.
    """
    pages, numbers = [], itertools.count()

    def open_page(page, width=1280, dark=False, height=900):
        if not isinstance(page, Path):
            path = tmp_path / f"opened {next(numbers)}.html"
            path.write_text(page, encoding="utf-8")
            page = path
        opened = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        pages.append(opened)
        opened.set_default_timeout(30_000)
        opened.complaints = complaints = []
        opened.on("console", lambda message: complaints.append(f"console: {message.text}"))
        opened.on("pageerror", lambda error: complaints.append(f"error: {error}"))

        def keep_from_the_network(route):
            if route.request.url.startswith(LOCAL):
                route.continue_()
            else:
                complaints.append(f"network: {route.request.url}")
                route.abort()

        opened.route("**/*", keep_from_the_network)
        opened.goto(page.absolute().as_uri())
        return opened

    yield open_page
    complaints = [complaint for page in pages for complaint in page.complaints]
    for page in pages:
        page.close()
    assert complaints == []


def axe_faults(page):
    """The serious and critical faults of accessibility in a page, as axe-core finds them.

    Returns
    -------
    list of str
        One a rule, with the places; a test asserts that there are none.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{fault['impact']}: {fault['help']}: "
        + "; ".join(node["html"][:200] for node in fault["nodes"][:5])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def pixels_too_wide(page):
    """By how many pixels a page is wider than its window; a phone would scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")
