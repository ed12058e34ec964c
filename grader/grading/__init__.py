"""Who calls whom: a learner's file beside the reference, and every known mistake against every probe."""
