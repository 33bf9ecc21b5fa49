"""Reports: tables and plots from results, one file a format. They read results, never a store."""
