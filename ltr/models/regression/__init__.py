"""Networks of the regression tasks beyond boxes."""
