"""Results in the formats of the field, a module each, or each family of them."""
