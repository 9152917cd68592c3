"""What several test files share: small data, networks and fakes."""
