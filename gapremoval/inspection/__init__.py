"""Look at what was found: pages for people, made of what a search returned."""

from ._gap_report import GapReport
from ._results_page import results_page

__all__ = ["GapReport", "results_page"]
