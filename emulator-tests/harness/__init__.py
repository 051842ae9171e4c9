"""What the suites share: the shipped programs, and an endpoint that answers as AWS does."""
