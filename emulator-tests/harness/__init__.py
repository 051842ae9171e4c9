"""What the suites have in common: the shipped programs, and an endpoint that answers as AWS does."""
