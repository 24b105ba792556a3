"""The fleet report: one document about all guests, written as HTML, JSON or CSV."""
