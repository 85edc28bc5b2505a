"""plain_text: the marks of Markdown go, everything that can be read stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapremoval.contents._plain_text import plain_text

WORDS = st.text(st.sampled_from("abcXYZ09é語"), min_size=1, max_size=8)
SAID = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
MARKS = st.sampled_from([*"*_`#~>-+=[]()!\\|<.: \n\t", "**", "```", "\n\n", "- ", "# ", "\ufffc"])


def letters(text):
    return "".join(filter(str.isalnum, text))


@given(st.lists(MARKS.filter(lambda mark: mark != "(") | WORDS, max_size=40).map("".join))
def test_no_letter_and_no_digit_is_lost_or_moved(text):
    assert letters(plain_text(text)) == letters(text)


@given(st.lists(MARKS | WORDS, max_size=40).map("".join))
def test_only_an_address_in_parentheses_behind_brackets_is_left_out(text):
    addresses = re.findall(r"\]\(([^()\s]*[:/.#][^()\s]*)\)", text)
    lost = len(letters(text)) - len(letters(plain_text(text)))
    assert 0 <= lost <= sum(len(letters(address)) for address in addresses)


@given(st.text(st.characters(codec="utf-8", exclude_characters="*_`#~>-+=[\\\n<!\ufffc")))
def test_a_text_without_marks_is_left_as_it_is(text):
    assert plain_text(text) == text


@given(SAID, SAID, SAID, st.sampled_from(["*", "**", "***", "_", "__", "~~", "`", "``"]))
def test_marks_around_words_go(before, marked, after, mark):
    assert plain_text(f"{before} {mark}{marked}{mark}, {after}") == f"{before} {marked}, {after}"


@given(st.lists(SAID, min_size=5, max_size=5), st.integers(1, 6), st.sampled_from("-*+"))
def test_a_document_reads_as_its_lines(said, level, bullet):
    title, quoted, first, second, linked = said
    text = (
        f"{'#' * level} {title}\n\n> q{quoted}\n\n{bullet} f{first}\n{bullet} s{second}\n\n---\n\n"
        f"see [{linked}](a/b.png) and ![{linked}](https://x.org/c)"
    )
    lines = [title, f"q{quoted}", f"• f{first}", f"• s{second}", f"see {linked} and {linked}"]
    assert plain_text(text).split("\n") == lines


@given(SAID, SAID)
def test_code_keeps_its_characters(title, said):
    code = f"# {said}\na = b*c*d"
    assert plain_text(f"# {title}\n\n```\n{code}\n```\n`*{said}*`") == f"{title}\n{code}\n*{said}*"


CODE = ["__init__.py", "a.__init__(b)", "_a_.b", "__init__()", "/srv/_a_/b", "a_b_c"]
CODE += ["C:\\_a\\_b_", "C:\\_dir", "arr[0](x.y)", "f(a)[i](x/y)"]


@given(SAID, st.sampled_from(CODE), SAID, st.sampled_from(["*", "**", "~~"]))
def test_names_and_paths_stay_beside_marks(before, code, marked, mark):
    text = f"{before} {code} {mark}{marked}{mark} {code}"
    assert plain_text(text) == f"{before} {code} {marked} {code}"


@given(SAID, st.sampled_from(["", "> ", "text "]), MARKS | SAID)
def test_what_is_typed_at_a_prompt_stays(said, before, mark):
    typed = f">>> {said} {mark}{said}{mark}".split("\n")[0]
    assert typed in plain_text(f"{before}{typed}\n\n{said}")


@pytest.mark.parametrize(
    "text",
    [
        "5 * 3 * 2 = 30",
        "2*3*4",
        "*.jpg and *.png",
        "snake_case_name and f[i](x)",
        "- 5 degrees",
        "> 5 people",
        "# ",
        "---",
        "[1]: https://example.org",
        "#hashtag",
        "C:\\notes",
        "| a | b |\n| --- | --- |",
        "an ``` unclosed fence",
        "<script>alert(1)</script>",
        "__init__.py",
        "arr[0](x.y)",
        "C:\\_dir",
        ">>> print(1)",
        ">>> 1 * 2 * 3\n6",
        "[1](...)",
    ],
)
def test_what_may_be_no_markdown_is_left_as_it_is(text):
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\nA **bold** word, *one* and __two__ in _all_, snake_case too.",
        "Title\n=====\n\nwords\n\nSecond\n------\n\nmore `code *x*` of ``it ` all``",
        "> quoted\n> twice\n\n***\n\nsee [the *map*](maps/a%20b.png) and ![a lake](lake.png)",
        "```python\nx = a*b*c  # no title\n```\n\n~~~\n# neither\n~~~",
        "\\*starred\\* and \\# one, [![a button](b.png)](https://x.org) and <https://x.org/a_b_c>",
        "refers[1](https://example.org/a) to **it**, and snake\\_case_names",
        "***both*** and **`code`** and **over\ntwo lines**",
    ],
)
def test_a_parser_of_markdown_reads_the_same_words(text):
    markdown = pytest.importorskip("markdown_it").MarkdownIt()
    page = markdown.render(text).replace("python", "")
    page = re.sub(r'<img [^>]*alt="([^"]*)"[^>]*>', r"\1", page)
    said = re.sub(r"<[^>]*>", "", page)
    assert plain_text(text).replace("python\n", "").split() == said.split()


@pytest.mark.parametrize(
    "mark", ["*a ", " *a", "```a\n", "[a](", "`", "> ", "# ", "- - ", "_a *b "]
)
def test_a_text_of_nothing_but_marks_takes_no_time(mark):
    text = mark * (2000 // len(mark))
    assert letters(plain_text(text)) == letters(text)
