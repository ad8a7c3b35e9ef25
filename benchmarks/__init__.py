"""This library beside its peers, in one run."""
