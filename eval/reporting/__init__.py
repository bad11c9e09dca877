"""The parts of the report that ``eval/report.py`` puts on one page."""
