"""Reports: tables and plots from results, one file per format. They read results, never a store."""
