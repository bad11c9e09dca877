"""A server that hosts a challenge: accounts, resumable uploads, a queue in the database, scoring apart, pages."""
