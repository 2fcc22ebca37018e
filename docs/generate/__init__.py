"""Parts of the documentation that are made from the code; tests fail where they are out of date."""
