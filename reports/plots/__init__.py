"""Plots of results."""

from hashbench.reports.plots.own_matplotlib import import_as_shipped

import_as_shipped()
