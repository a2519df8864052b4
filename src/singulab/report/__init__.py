"""Series, figures, tables and pages: everything here draws what was computed and computes nothing new."""
