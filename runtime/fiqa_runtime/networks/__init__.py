"""Networks of users: described in a TOML file, or brought by an installed package."""
