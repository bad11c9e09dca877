"""The pages of a hosted challenge, a file for each kind of visitor."""
