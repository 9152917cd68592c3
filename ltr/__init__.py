"""Learning: networks, data, training. Stands on `ebm_common` and knows nothing of `pytracking`."""
