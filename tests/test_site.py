"""The site's API reference against the public names, and the links between the pages."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import gapremoval

HOME = Path(__file__).parent.parent
REFERENCE = HOME / "docs" / "reference.md"
PAGES = [HOME / "README.md", *HOME.glob("docs/*.md"), *HOME.glob("docs/guide/*.md")]

ROOMS = [
    "gapremoval",
    *(
        f"gapremoval.{module.name}"
        for module in iter_modules(gapremoval.__path__)
        if module.ispkg and hasattr(import_module(f"gapremoval.{module.name}"), "__all__")
    ),
]


def listed():
    """The objects that the reference has, by the name that it gives them."""
    room, names = "gapremoval", []
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            room = found[1]
        elif found := re.fullmatch(r"   ([\w.]+)", line):
            names.append(f"{room}.{found[1]}")
        elif found := re.fullmatch(r"\.\. py:data:: (\S+)", line):
            names.append(found[1])
    return names


def resolve(name):
    room, _, name = name.rpartition(".")
    return getattr(import_module(room), name)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room):
    documented = [resolve(name) for name in listed()]
    names = [name for name in import_module(room).__all__ if f"{room}.{name}" not in ROOMS]
    public = {name: getattr(import_module(room), name) for name in names}
    missing = [name for name, value in public.items() if not any(value is x for x in documented)]
    assert not missing, f"docs/reference.md lacks {missing} of {room}"


def test_the_reference_lists_nothing_twice_and_nothing_private():
    names = listed()
    assert len(names) > 30
    assert len({id(resolve(name)) for name in names}) == len(names)
    for name in names:
        room, _, short = name.rpartition(".")
        assert short in import_module(room).__all__


def anchors(page):
    """What a link can lead to in a page: its headings, as they are written in addresses."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_the_links_of_a_page_lead_somewhere_in_the_checkout(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("gallery/"):  # The gallery is made with the site.
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{link} leads to no file"
        assert not anchor or anchor in anchors(target), f"{link} leads to no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_no_line_of_code_is_cut_at_the_right_edge_of_the_site(page):
    for block in re.findall(r"(?ms)^```python$(.*?)^```$", page.read_text(encoding="utf-8")):
        # The first page has no sidebars, and more room.
        assert max(map(len, block.splitlines())) <= (120 if page.name == "index.md" else 100)


def test_every_page_of_the_guide_is_in_the_table_of_its_index():
    index = (HOME / "docs" / "user_guide.md").read_text(encoding="utf-8")
    for page in HOME.glob("docs/guide/*.md"):
        assert f"](guide/{page.name})" in index
