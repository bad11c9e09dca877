"""From the names of a network, a data set and a loss to the checked settings of a run."""
