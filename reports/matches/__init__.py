"""What every format tells of matches of fixed hashes: tables and sentences. Pure."""
