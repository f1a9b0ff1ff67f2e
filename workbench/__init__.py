"""Four ways to put context into sequential recommendation: learn them, probe them, teach them."""
