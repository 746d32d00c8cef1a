"""
The parts of the page that show figures, in their order.

Each is made from the rows and curves it is about, or says why there is nothing to show.
"""

from __future__ import annotations

from sepsis.report.context import Results
from sepsis.report.elements import Section
from sepsis.report.horizon_sections import (
    censoring_section,
    differences_section,
    extended_section,
    groups_section,
    numbers_section,
)
from sepsis.report.hourly_sections import alarms_section, continuous_section, onset_section, utility_section
from sepsis.report.risk_sections import calibration_section, net_benefit_section

PARTS = (
    numbers_section,
    differences_section,
    extended_section,
    onset_section,
    continuous_section,
    alarms_section,
    utility_section,
    calibration_section,
    net_benefit_section,
    censoring_section,
    groups_section,
)


def sections(results: Results) -> list[Section]:
    """All parts in order; one that does not apply, say differences of a single model, is not there."""
    return [section for part in PARTS if (section := part(results)) is not None]
