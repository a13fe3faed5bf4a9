"""Making clusters agree with rows (submit) and rows agree with clusters (observe)."""
