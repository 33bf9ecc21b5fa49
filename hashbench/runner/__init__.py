"""The runner: suite -> plan -> cells -> store -> results. Knows nothing of how a report looks."""
