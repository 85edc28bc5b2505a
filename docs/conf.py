"""How Sphinx builds the site: ``make docs``, or ``make docs-quick`` without the examples."""

import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util.logging import getLogger
from sphinx_gallery.sorting import ExplicitOrder

from gapremoval import __version__

project = "gapremoval"
author = copyright = "The gapremoval developers"
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# A name in single backticks is code: most of them are parameters, which nothing can link to.
default_role = "literal"

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autosummary_generate_overwrite = True
# Other libraries' pages lie on the network, and the site is built without one.
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|numpy|scipy|pandas|torch|joblib|pyarrow)\..*"),
    # In docstrings that are inherited from scikit-learn.
    ("py:obj", "n_features_in_"),
    ("term", "fit"),
]
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",
    "ES01",  # a summary may be all there is to say,
    "EX01",  # a method may do without an example of its own,
    "SA01",  # and without relatives.
    "GL01",  # The summary stands on the line of the quotes.
    "RT02",  # "train, test : ndarray" tells of two values in a line.
    "RT03",  # "self" needs no description.
    "SS05",  # Any word in "s" counts as a verb in the third person.
}
numpydoc_validation_exclude = {
    # Made by the library, never by hand: attributes are described, and not again as parameters.
    r"\.(CertifiedResult|Comparison|EncodingError|ExportedVectors|ReadingError|SearchResult)$",
    # Tuples and other results, whose attributes are described.
    r"\.(StoreHits|StoreRows|GapComponents|GapDimensions|GroupGap|Hubness)(\.|$)",
    r"\.(ModalityGapTest|ModalityStatistics|NeighborShare|RankingBias)(\.|$)",
    r"\.(Store|WritableStore)(\.|$)",  # protocols: a contract, in a sentence where that is enough
    r"\.QBNorm\.nearest$",  # inherits its docstring
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "subsection_order": ExplicitOrder(
        [f"../examples/{section}" for section in ("search", "gap", "compare", "trust", "operate")]
    ),
    "within_subsection_order": ExplicitOrder(  # the first of their sections
        [
            "plot_search_scenes_and_notes.py",
            "plot_results_strip.py",
            "plot_is_there_a_gap.py",
            "plot_modality_gap.py",
            "plot_gap_report.py",
            "plot_compare_methods.py",
            "plot_reliability.py",
            "plot_save_and_load.py",
            "*",
        ]
    ),
    "ignore_pattern": r"(^|/)(?!plot_)\w+\.py$",
    "backreferences_dir": "api/examples",
    "doc_module": "gapremoval",
    "reference_url": {"gapremoval": None},
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 600,
    "abort_on_example_error": True,
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "gapremoval"
html_logo = html_favicon = "images/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
# With no others below them.
LONE_PAGES = "index getting_started theory benchmarks glossary citing contributing changelog"
html_sidebars = {page: [] for page in LONE_PAGES.split()}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "gapremoval"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}

# What pages link to in the checkout, and the page that shows it here.
PAGES_OF_FILES = {
    r"\.\./((?:\.\./)*)benchmarks/README\.md": r"\1benchmarks.md",
    r"\.\./((?:\.\./)*)examples/(\w+/plot_\w+)\.py": r"\1gallery/\2.rst",
}


INCLUDED = re.compile(r"```\{include\} (\S*benchmarks/README\.md)\n:relative-docs: (\S+)\n```")
TABLE = re.compile(r"(?m)(?:^\*\*(.+)\*\*\n\n)?((?:^\|.*(?:\n|\Z))+)")
LONGEST_OPEN_TABLE = 6  # lines, with the two of its head


def fold_tables(app, docname, source):
    """The page of the benchmarks shows its pictures, and long tables when they are opened."""
    if found := INCLUDED.search(source[0]):
        text = (Path(app.srcdir) / found[1]).read_text(encoding="utf-8")
        source[0] = TABLE.sub(folded, text.replace(f"]({found[2]}", "]("))


def folded(table):
    title, lines = table[1] or "Table", table[2]
    if lines.count("\n") <= LONGEST_OPEN_TABLE:
        return table[0]
    return f"::::{{dropdown}} {title}\n{lines}::::\n"


def link_to_pages(app, docname, source):
    """Links to files of the checkout lead to the pages that show them."""
    for file, page in PAGES_OF_FILES.items():
        source[0] = re.sub(rf"\]\({file}", f"]({page}", source[0])


def skip_foreign_members(app, what, name, member, skip, options):
    """Leave out what comes from scikit-learn, pandas and the standard library."""
    if type(member).__module__.startswith("pandas"):
        return True
    member = getattr(member, "fget", member)
    if what == "class" and inspect.isroutine(member):
        return skip or not getattr(member, "__module__", "").startswith("gapremoval")
    return None


def mend_texts(app, doctree):
    """Take off the blank line that ends an example in Markdown; NDCG@10 is no mail address."""
    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block.children = [nodes.Text(block.rawsource)]
    for link in list(doctree.findall(nodes.reference)):
        if link.get("refuri", "").startswith("mailto:"):
            link.replace_self(link.children)


def write_math(writer, node):
    """Formulas as MathML, which browsers show without a script or a network."""
    is_block = isinstance(node, nodes.math_block)
    try:
        formula = latex2mathml.tex2mathml(node.astext(), as_block=is_block)
    except MathError as error:
        getLogger(__name__).warning("no MathML for %s: %s", node.astext(), error, location=node)
    else:
        writer.body.append(f"<div class='math'>{formula}</div>" if is_block else str(formula))
    raise nodes.SkipNode


FROM_ANOTHER_HOST = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href|srcset)=[\"']?((?:https?:)?//[^\s\"'>]+)"
    r"|(?:url\(|@import\s)\s*[\"']?((?:https?:)?//[^\s\"')]+)"
)


def refuse_other_hosts(app, exception):
    """A page that loads a script, a style, a font or a picture from the network is a warning."""
    for file in Path(app.outdir).rglob("*"):
        if file.suffix in (".html", ".css"):
            for found in FROM_ANOTHER_HOST.finditer(file.read_text(encoding="utf-8")):
                address = found[1] or found[2]
                getLogger(__name__).warning("%s loads %s", file.relative_to(app.outdir), address)


def setup(app):
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    app.connect("source-read", fold_tables)
    app.connect("source-read", link_to_pages)
    app.connect("autodoc-skip-member", skip_foreign_members)
    app.connect("doctree-read", mend_texts)
    app.connect("build-finished", refuse_other_hosts)
