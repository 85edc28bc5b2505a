"""plain_text: a text without the marks of Markdown."""

import re

PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
# What keeps its characters: blocks and spans of code, what is typed at Python's prompt, paths of
# Windows, and marks behind a backslash.
KEPT = re.compile(
    rf"""
    ^[ ]{{0,3}}(?P<fence>`{{3,}}|~{{3,}})[ \t]*(?P<block>[^`\n]*\n.*?)
        ^[ ]{{0,3}}(?P=fence)[`~]*[ \t]*$
    | (?<!`)(?P<tick>`+)(?!`)(?P<span>(?:(?!\n\s*\n).){{1,400}}?)(?<!`)(?P=tick)(?!`)
    | (?<!>)(?P<typed>>>>[ ][^\n]+)
    | (?<!\w)(?P<path>[A-Za-z]:\\[\w.\\-]*)
    | \\(?P<mark>[*_`~\#\[\]])
    | (?P<place>{PLACE})
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
# What is in the parentheses must look like an address: f[i](x) is no link. Behind a name f[i](x/y)
# is none either, but a reference[1](https://example.org) is.
LINK = (
    r"(?:(?<![A-Za-z0-9_)\]])|(?=\[[^\[\]\n]+\]\((?:https?|mailto):))"
    rf"\[([^\[\]\n]+)\]\([^()\s{PLACE}]*(?:[:/#]|\.[A-Za-z]\w)[^()\s{PLACE}]*\)"
)
# Emphasis begins and ends outside of words, and ends in its paragraph.
EMPHASIS = r"(?<![\wX])(X{N})(?=[^\sX])((?:(?!\n\s*\n).){1,400}?)(?<=[^\sX])\1(?![\wX])"
# Underscores are no emphasis in names such as self.__init__(x) and __init__.py.
UNDERSCORES = r"(?<!\w[./:\\])" + EMPHASIS + r"(?!\(|[./:\\-]\w)"
MARKS = [
    (r"^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$", r"\1"),
    (r"^ {0,3}(?:={2,}|-{2,}|([*_-])(?:[ \t]*\1){2,})[ \t]*$", ""),
    # A digit may follow a sign: "> 5", "- 5".
    (r"^ {0,3}(?:>[ \t]?)+(?=[^\d\s>])", ""),
    (r"^([ \t]*)[-*+][ \t]+(?=[^\d\s])", r"\1• "),
    (r"<((?:https?://|mailto:)[^<>\s]+)>", r"\1"),
    ("!" + LINK, r"\1"),
    (LINK, r"\1"),
    *(
        (pattern.replace("X", re.escape(mark)).replace("N", number), r"\2")
        for pattern, mark, number in (
            *((EMPHASIS, "*", number) for number in "321"),
            *((UNDERSCORES, "_", number) for number in "21"),
            (EMPHASIS, "~", "2"),
        )
    ),
    (r"\n\s*\n", r"\n"),
]
MARKS = [(re.compile(pattern, re.DOTALL | re.MULTILINE), left) for pattern, left in MARKS]


def plain_text(text):
    """Take the marks of Markdown off a text.

    Headings, emphasis, code, quotes, lists and rules lose their marks, and of a link its text
    is left. Letters and digits stay, but for the addresses of links, also where the text is no
    Markdown. A parser of Markdown would drop more, such as definitions of references, and could
    not know whether a text was meant to be Markdown.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Paragraphs are separated by one line break.

    Examples
    --------
    >>> print(plain_text("# The lake\\n\\n**Cold** water, 5 * 3 feet, [a map](map.png)."))
    The lake
    Cold water, 5 * 3 feet, a map.
    """
    kept = []

    def keep(found):
        text = next(filter(None, found.group("block", "span", "typed", "path", "mark", "place")))
        kept.append(text.strip("\n"))
        return PLACE

    plain = KEPT.sub(keep, text)
    for pattern, left in MARKS:
        plain = pattern.sub(left, plain)
    kept = iter(kept)
    plain = re.sub(PLACE, lambda _: next(kept), plain)
    return plain if plain.strip() else text
