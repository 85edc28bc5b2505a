"""The site's API reference against the public names."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import gapremoval

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"

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
    public = {name: getattr(import_module(room), name) for name in import_module(room).__all__}
    missing = [name for name, value in public.items() if not any(value is x for x in documented)]
    assert not missing, f"docs/reference.md lacks {missing} of {room}"


def test_the_reference_lists_nothing_twice_and_nothing_private():
    names = listed()
    assert len(names) > 30
    assert len({id(resolve(name)) for name in names}) == len(names)
    for name in names:
        room, _, short = name.rpartition(".")
        assert short in import_module(room).__all__
