"""One report, several formats: each module turns a `Report` into text."""
