"""The sections of the page in their order; a section without data says why."""

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
from sepsis.report.hourly_sections import (
    alarms_section,
    continuous_section,
    landmark_section,
    onset_section,
    utility_section,
)
from sepsis.report.primary import primary_section
from sepsis.report.risk_sections import calibration_section, net_benefit_section
from sepsis.report.study_sections import participants_section, sample_size_section, spread_section

PARTS = (
    primary_section,  # before the main figures
    numbers_section,
    differences_section,
    spread_section,
    extended_section,
    landmark_section,
    continuous_section,
    onset_section,
    alarms_section,
    utility_section,
    calibration_section,
    net_benefit_section,
    censoring_section,
    groups_section,
    participants_section,
    sample_size_section,
)


def sections(results: Results) -> list[Section]:
    """All sections in order; those that do not apply are omitted."""
    return [section for part in PARTS if (section := part(results)) is not None]
